// One function for each command; they return what the program ends with.
#pragma once

#include "arguments.hpp"

namespace tool {

// Of one dictionary, or all of them: they change nothing.
int list(const Arguments& arguments);
int info(const Arguments& arguments);
int keys(const Arguments& arguments);
int get(const Arguments& arguments);
int watch(const Arguments& arguments);

int audit(const Arguments& arguments);
int reap(const Arguments& arguments);
int remove(const Arguments& arguments);

// Between a dictionary and a file.
int export_to(const Arguments& arguments);
int import_from(const Arguments& arguments);

}  // namespace tool
