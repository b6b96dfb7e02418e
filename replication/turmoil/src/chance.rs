//! All chance of a run from its seed.
//!
//! The standard library's hash keys, tokio's choice of a branch, the gossip library's peers, QUIC's
//! connection ids and the driver's nonces all come from the C library's `getrandom`. This program has
//! its own: on a thread with a seed it gives that seed's bytes, elsewhere the operating system's.

use std::cell::RefCell;
use std::ffi::{c_uint, c_void};

thread_local! {
    static SOURCE: RefCell<Option<blake3::OutputReader>> = const { RefCell::new(None) };
}

/// From now on chance on this thread is this seed's.
pub fn seed(seed: u64) {
    let mut hasher = blake3::Hasher::new_derive_key("castor 2026 turmoil chance");
    hasher.update(&seed.to_le_bytes());
    SOURCE.set(Some(hasher.finalize_xof()));
}

/// Fills a buffer from the seed; false on a thread without one.
pub fn fill(buffer: &mut [u8]) -> bool {
    let from_seed = |source: &RefCell<Option<blake3::OutputReader>>| {
        let Ok(mut source) = source.try_borrow_mut() else {
            return false;
        };
        source.as_mut().map(|reader| reader.fill(buffer)).is_some()
    };
    SOURCE.try_with(from_seed).unwrap_or(false)
}

/// A number below `end`.
pub fn below(end: u64) -> u64 {
    let mut bytes = [0; 8];
    assert!(fill(&mut bytes), "a thread without a seed");
    u64::from_le_bytes(bytes) % end.max(1)
}

/// Takes the place of the C library's function of this name.
///
/// # Safety
/// As the original's: `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    // SAFETY: the caller promises the room.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    if fill(bytes) {
        return length.cast_signed();
    }
    // SAFETY: the same arguments as the original's.
    let filled = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
    filled as isize
}
