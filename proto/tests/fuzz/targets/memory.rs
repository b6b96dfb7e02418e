//! A bound on what a decoder may hold in memory at once. Every crate with fuzz targets uses this file.

use peak_alloc::PeakAlloc;

/// A target: asserts something of the decoder of its name.
pub type Target = fn(&[u8]);

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Does some work and asserts that it never held more than `most` bytes more than before.
pub fn within<T>(most: usize, work: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = work();
    let held = MEMORY.peak_usage().saturating_sub(before);
    assert!(
        held <= most,
        "{held} bytes held at once, at most {most} allowed"
    );
    result
}
