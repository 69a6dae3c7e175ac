//! What a process holds.

use std::fs;

/// The most memory that this process ever had, in KiB; `None` where the system does not tell (`VmHWM` in `/proc/self/status`).
pub fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
