//! Tables for people.

use std::io::{self, Write};

/// Writes rows with aligned columns. Cells are ASCII, so a byte is a column: names, hosts and normalised paths have nothing else.
pub(super) fn print<const N: usize>(out: &mut dyn Write, rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::print;

    #[test]
    fn columns_are_aligned_and_no_line_ends_in_blanks() {
        let mut out = Vec::new();
        let rows = [["NAME", "ROLES"], ["a", ""], ["somebody", "x"]].map(|row| row.map(str::to_owned));
        print(&mut out, &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME      ROLES\na\nsomebody  x\n");
    }
}
