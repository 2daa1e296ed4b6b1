// refused: an order behind another name
// Short names.
inline constexpr auto kRelease = std::memory_order_release;
