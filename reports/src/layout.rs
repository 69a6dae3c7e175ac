//! How a record's JSON is laid out: two spaces of indentation, and a list of plain values on one line.
//!
//! A series has hundreds of counts; one a line would bury the record. Lists of objects keep one object after another.

use std::io::{self, Write};

use serde_json::ser::{CharEscape, Formatter};

/// What the innermost open list or object holds so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Nothing.
    Empty,
    /// A list of plain values, on one line.
    Plain,
    /// Entries, each on its own line.
    Lines,
}

/// The layout; see the module's header.
#[derive(Default)]
pub(crate) struct Layout {
    open: Vec<Content>,
    /// A list's next entry has been announced, and what it is decides between a space and a line break.
    in_list: bool,
}

impl Layout {
    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.open.len()).try_for_each(|_| writer.write_all(b"  "))
    }

    fn mark(&mut self, content: Content) {
        if let Some(innermost) = self.open.last_mut() {
            *innermost = content;
        }
    }

    fn plain<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if !std::mem::take(&mut self.in_list) {
            return Ok(());
        }
        if self.open.last() == Some(&Content::Plain) {
            writer.write_all(b" ")?;
        }
        self.mark(Content::Plain);
        Ok(())
    }

    fn nested<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.in_list) {
            self.line(writer)?;
            self.mark(Content::Lines);
        }
        self.open.push(Content::Empty);
        writer.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        if self.open.pop() == Some(Content::Lines) {
            self.line(writer)?;
        }
        writer.write_all(bracket)
    }
}

impl Formatter for Layout {
    fn write_null<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.plain(writer)?;
        writer.write_all(b"null")
    }

    fn write_bool<W: ?Sized + Write>(&mut self, writer: &mut W, value: bool) -> io::Result<()> {
        self.plain(writer)?;
        write!(writer, "{value}")
    }

    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.plain(writer)?;
        write!(writer, "{value}")
    }

    fn write_u32<W: ?Sized + Write>(&mut self, writer: &mut W, value: u32) -> io::Result<()> {
        self.write_u64(writer, u64::from(value))
    }

    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        self.plain(writer)?;
        write!(writer, "{value}")
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        self.plain(writer)?;
        serde_json::ser::CompactFormatter.write_f64(writer, value)
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.plain(writer)?;
        writer.write_all(b"\"")
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        serde_json::ser::CompactFormatter.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.nested(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.in_list = true;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.nested(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.mark(Content::Lines);
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize as _;
    use serde_json::{Value, json};

    #[test]
    fn plain_lists_take_one_line_and_the_rest_is_indented() {
        let value = json!({
            "counts": [1, 2.5, null, "four, \"five\"", true], "empty": [], "nothing": {},
            "objects": [{"a": 1}, {"b": [[1, 2], [3]]}],
        });
        let mut bytes = Vec::new();
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Layout::default())).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
          "counts": [1, 2.5, null, "four, \"five\"", true],
          "empty": [],
          "nothing": {},
          "objects": [
            {
              "a": 1
            },
            {
              "b": [
                [1, 2],
                [3]
              ]
            }
          ]
        }
        "#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
