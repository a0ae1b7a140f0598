//! Coarse time: a `u32` that the driver advances and that wraps around.
//!
//! A tick has whatever length the caller gives it; 0 stands for "never". Two times are compared by
//! their distance, so the wrap (49 days at 1 ms) passes unnoticed as long as no deadline lies more
//! than `2^31` ticks ahead.

/// The time `delay` ticks after `now`; never 0.
#[inline]
#[must_use]
pub const fn after(now: u32, delay: u32) -> u32 {
    let time = now.wrapping_add(delay);
    if time == 0 { 1 } else { time }
}

/// Whether `deadline` (not 0) has come at `now`.
#[inline]
#[must_use]
pub const fn is_due(deadline: u32, now: u32) -> bool {
    now.wrapping_sub(deadline) < 1 << 31
}

/// The earlier of two times, 0 being later than any other.
#[inline]
pub(crate) const fn earlier(a: u32, b: u32) -> u32 {
    if a == 0 || (b != 0 && is_due(b, a)) { b } else { a }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn wraps_around() {
        assert_eq!(after(u32::MAX, 1), 1);
        assert!(is_due(5, 5));
        assert!(!is_due(6, 5));
        assert!(is_due(u32::MAX, 3));
        assert!(!is_due(3, u32::MAX));
        assert_eq!(earlier(0, 7), 7);
        assert_eq!(earlier(7, 0), 7);
        assert_eq!(earlier(u32::MAX, 3), u32::MAX);
        assert_eq!(earlier(4, 3), 3);
        assert_eq!(earlier(0, 0), 0);
    }
}
