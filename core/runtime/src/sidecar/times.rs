//! Moments as text.

use hookproof_core::time::WallTime;
use jiff::Timestamp;

/// In RFC 3339; nothing for the times that stand for "never" and "not known".
pub(super) fn text(time: WallTime) -> Option<String> {
    if time == WallTime::MAX || time == WallTime::UNIX_EPOCH {
        return None;
    }
    let nanos = i128::from(time.as_unix_nanos());
    Timestamp::from_nanosecond(nanos).ok().map(|at| at.to_string())
}
