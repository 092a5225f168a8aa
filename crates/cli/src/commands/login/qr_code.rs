//! A QR code in the characters of a terminal: two modules in each, black on white whatever the terminal's own colours are.

use std::fmt::Write as _;

use anstyle::{Ansi256Color, Style};
use fast_qr::{ECL, QRBuilder};

/// Black and white of the palette's fixed part, which themes leave alone.
const PAPER: Style = Ansi256Color(16).on_default().bg_color(Some(anstyle::Color::Ansi256(Ansi256Color(231))));

/// So wide is the white border: as the standard has it, or as small as cameras take it where there is less room.
const QUIET_ZONES: [usize; 2] = [4, 2];

/// The code of that text, if it fits into so many columns and rows.
pub(super) fn drawn(text: &str, columns: usize, rows: usize) -> Option<String> {
    let code = QRBuilder::new(text).ecl(ECL::L).build().ok()?;
    let fits = |quiet: &usize| {
        let width = code.size + 2 * quiet;
        width <= columns && width.div_ceil(2) <= rows
    };
    let quiet = QUIET_ZONES.into_iter().find(fits)?;
    let is_dark = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(quiet).filter(|at| *at < code.size);
        inside(x).zip(inside(y)).is_some_and(|(x, y)| code[y][x].value())
    };
    let width = code.size + 2 * quiet;
    let mut drawing = String::new();
    for row in 0..width.div_ceil(2) {
        let _ = write!(drawing, "{PAPER}");
        for x in 0..width {
            drawing.push(match (is_dark(x, 2 * row), is_dark(x, 2 * row + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        let _ = writeln!(drawing, "{PAPER:#}");
    }
    Some(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_is_as_wide_as_there_is_room() {
        let url = "https://as.example/device?user_code=ABCD-EFGH";
        let code = QRBuilder::new(url).ecl(ECL::L).build().unwrap();
        let lines = |columns, rows| drawn(url, columns, rows).map(|drawing| drawing.lines().count());
        assert_eq!(lines(80, 50), Some((code.size + 8).div_ceil(2)));
        assert_eq!(lines(80, (code.size + 4).div_ceil(2)), Some((code.size + 4).div_ceil(2)));
        assert_eq!(lines(80, (code.size + 4).div_ceil(2) - 1), None);
        assert_eq!(lines(code.size + 3, 50), None);
        assert_eq!(drawn(&"x".repeat(4000), 1000, 1000), None, "too long for any code");
    }
}
