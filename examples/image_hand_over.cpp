// Image hand-over: one process makes a large image in shared memory, another one reads it there. Nobody copies it.
//
// loan() gives memory in the dictionary to fill in place, and publish() makes it the key's value in one step. view() pins a
// value and reads it where it is, whatever becomes of the key meanwhile. The resident memory shows it: private memory
// doesn't grow, only the shared memory that both map does.
#include <shared_dict/shared_dict.hpp>

#include <cstdint>
#include <fstream>
#include <iostream>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "program.hpp"

namespace {

constexpr const char* kUsage =
    "usage: image_hand_over [WIDTH]\n"
    "\n"
    "One process fills an image of WIDTH x WIDTH pixels (default: 4096, which is 64 MiB) in shared memory, another "
    "one\n"
    "sums it up in place. Compares the checksums and checks that the memory of neither process grew by a copy.\n";

using Pixel = std::uint32_t;
using Images = shared_dict::SharedDict<std::string, std::vector<Pixel>>;
using Reports = shared_dict::SharedDict<std::string, std::uint64_t>;

Pixel pixel_at(std::size_t i) { return static_cast<Pixel>(i * 2654435761U); }

std::uint64_t checksum_of(std::span<const Pixel> pixels) {
  std::uint64_t sum = 0;
  for (const Pixel p : pixels) sum = sum * 31 + p;
  return sum;
}

// In KiB; 0 where there is no /proc.
struct Memory {
  std::int64_t own = 0;
  std::int64_t shared = 0;

  static Memory now() {
    Memory memory;
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      if (word == "RssAnon:") status >> memory.own;
      if (word == "RssShmem:") status >> memory.shared;
    }
    return memory;
  }
};

// Runs one step of the hand-over and reports how the resident memory of this process changed.
template <class Step>
void measured(const std::string& who, std::size_t image_bytes, Step step) {
  const Memory before = Memory::now();
  step();
  const Memory after = Memory::now();
  std::cout << who << " (process " << ::getpid() << "): private memory " << before.own << " -> " << after.own
            << " KiB, shared memory " << before.shared << " -> " << after.shared << " KiB\n";
  example::require((after.own - before.own) * 1024 < static_cast<std::int64_t>(image_bytes / 2), who + " made a copy");
}

void image_hand_over(const std::vector<std::string>& arguments) {
  std::size_t width = 4096;
  if (!arguments.empty()) std::istringstream(arguments[0]) >> width;
  if (width < 512 || width > 16384) throw std::runtime_error("WIDTH has to be 512 to 16384");
  const std::size_t bytes = width * width * sizeof(Pixel);
  auto images = Images::create(example::unique_name(".images"), {.heap_size = 4 * bytes});
  auto reports = Reports::create(example::unique_name(".reports"));
  std::cout << "image: " << width << " x " << width << " pixels, " << bytes / 1024 << " KiB\n";

  example::Process camera([&] {
    measured("camera", bytes, [&] {
      auto loan = images.loan("frame", width * width);
      const std::span<Pixel> pixels = loan.span();
      for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = pixel_at(i);
      reports["written"] = checksum_of(pixels);
      loan.publish();  // from here on everybody sees it, whole
    });
  });
  camera.join();

  example::Process reader([&] {
    measured("reader", bytes, [&] {
      const auto image = images.view("frame");
      example::require(static_cast<bool>(image), "there is no image");
      reports["read"] = checksum_of(*image);
      images.erase("frame");  // the view keeps what it shows
      reports["read again"] = checksum_of(*image);
    });
  });
  reader.join();

  const std::uint64_t written = reports.at("written");
  std::cout << "checksum: written " << written << ", read " << reports.at("read") << '\n';
  example::require(reports.at("read") == written && reports.at("read again") == written, "the checksums");
  example::require(!images.contains("frame"), "the image was taken away");
  std::cout << "check: the same image in both processes, and no copy of it in either\n";
}

}  // namespace

int main(int argc, char** argv) { return example::run(argc, argv, kUsage, image_hand_over); }
