//! A size in bytes as people write it.

/// Units of bytes; without one, bytes are meant.
const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Reads `"512MiB"`, `"2 GB"` or plain bytes.
///
/// # Errors
/// The text is no whole number with one of the known units, or the size has no place in 64 bits.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let size = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, size)) => Some(*size),
        None if unit.is_empty() || unit == "B" => Some(1),
        None => None,
    };
    let bytes = number.parse().ok().zip(size).and_then(|(number, size): (u64, u64)| number.checked_mul(size));
    bytes.ok_or_else(|| {
        let units: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
        format!("a whole number of bytes is needed, as in 512MiB; units: {}", units.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_or_are_bytes() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("4096B"), Ok(4096));
        assert_eq!(parse("512MiB"), Ok(536_870_912));
        assert_eq!(parse("2 GB"), Ok(2_000_000_000));
        for text in ["", "MiB", "-1", "1.5GB", "1XB", "99999999TiB", "12 34"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
