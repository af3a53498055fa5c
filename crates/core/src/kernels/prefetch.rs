//! Asking for memory before it is read.

/// Asks for the cache lines of so many values at an address, which need not be there.
#[inline(always)]
pub(super) fn prefetch<T>(address: *const T, values: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..values * size_of::<T>()).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: SSE is part of the target; a prefetch changes nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast::<i8>().wrapping_add(line)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (address, values);
}
