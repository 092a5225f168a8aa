//! A terminal's screen as an SVG file: a window with a title, in which the text can be selected.
//!
//! The same screen gives the same bytes. Every run of text says how wide it is, so that columns stand beneath each other in
//! any font, and block characters are drawn as rectangles, so that a QR code is as crisp as in a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// A column is as wide as half a row is high: a QR code drawn with half blocks is square.
const COLUMN: u32 = 9;
const ROW: u32 = 18;
/// From a row's upper edge to the line on which its letters stand.
const BASELINE: u32 = 14;
const PADDING: u32 = 18;
const TITLE_BAR: u32 = 36;

const GROUND: &str = "#1b1a18";
const BAR: &str = "#2a2825";
const EDGE: &str = "#4a463f";
const INK: &str = "#ece8df";
const SOFT: &str = "#a39c8f";

/// The sixteen colours, each with a contrast of 4.5 at least to the ground, but for the two blacks.
const COLOURS: [&str; 16] = [
    "#3a3732", "#f08a7c", "#5cc3a6", "#e2b65f", "#82b1ec", "#d39bd8", "#6cc5cf", "#d8d3c8", //
    "#8b857a", "#ff9f92", "#7ad9bd", "#f1ca7c", "#9dc4f5", "#e3b3e7", "#8ad8e0", "#ffffff",
];

/// What is shown of a screen.
#[derive(Clone, Debug)]
pub struct Picture {
    title: String,
    description: String,
    rows: Vec<Vec<Cell>>,
}

impl Picture {
    /// The screen from its first row to the last one that shows something. The title stands in the window's bar, the
    /// description is for those who do not see the picture.
    pub fn new(title: &str, description: &str, screen: &Screen) -> Self {
        let (rows, columns) = screen.size();
        let row = |row| (0..columns.get()).filter_map(|column| screen.cell(row, column).cloned()).collect();
        let mut rows: Vec<Vec<Cell>> = (0..rows.get()).map(row).collect();
        while rows.last().is_some_and(|row| row.iter().all(is_blank)) {
            rows.pop();
        }
        Self { title: title.to_owned(), description: description.to_owned(), rows }
    }

    /// The picture as an SVG document.
    pub fn svg(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = 2 * PADDING + number(columns) * COLUMN;
        let height = TITLE_BAR + 2 * PADDING + number(self.rows.len()) * ROW;
        let mut areas = Areas::default();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let top = TITLE_BAR + PADDING + number(index) * ROW;
            areas.take_row(row, top);
            for run in runs(row) {
                run.write(&mut text, top);
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\">\n<title>{description}</title>\n<style>\n{STYLE}</style>\n\
             <rect x=\".5\" y=\".5\" width=\"{inner_width}\" height=\"{inner_height}\" rx=\"11\" fill=\"{GROUND}\"/>\n\
             <path d=\"M.5 {bar}V11.5a11 11 0 0 1 11-11H{corner}a11 11 0 0 1 11 11V{bar}z\" fill=\"{BAR}\"/>\n\
             <rect x=\".5\" y=\".5\" width=\"{inner_width}\" height=\"{inner_height}\" rx=\"11\" fill=\"none\" stroke=\"{EDGE}\"/>\n\
             <g fill=\"{EDGE}\"><circle cx=\"20\" cy=\"18\" r=\"6\"/><circle cx=\"40\" cy=\"18\" r=\"6\"/>\
             <circle cx=\"60\" cy=\"18\" r=\"6\"/></g>\n\
             <text class=\"title\" x=\"{middle}\" y=\"23\">{title}</text>\n{areas}{text}</svg>\n",
            description = escape(&self.description),
            title = escape(&self.title),
            inner_width = width - 1,
            inner_height = height - 1,
            bar = TITLE_BAR,
            corner = f64::from(width) - 11.5,
            middle = width / 2,
            areas = areas.svg(),
        )
    }
}

const STYLE: &str = "\
text{font:15px ui-monospace,SFMono-Regular,\"SF Mono\",Menlo,Consolas,\"DejaVu Sans Mono\",\"Liberation Mono\",monospace;\
fill:#ece8df;white-space:pre}\n\
.title{fill:#a39c8f;font-size:13px;text-anchor:middle}\n\
.b{font-weight:700}.i{font-style:italic}.u{text-decoration:underline}\n";

/// How a piece of text looks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Style {
    colour: String,
    bold: bool,
    italic: bool,
    underline: bool,
}

/// A piece of text in one style, without two blanks in a row.
struct Run {
    column: usize,
    columns: usize,
    text: String,
    style: Style,
}

impl Run {
    fn write(&self, svg: &mut String, top: u32) {
        let Style { colour, bold, italic, underline } = &self.style;
        let classes: Vec<&str> = [("b", bold), ("i", italic), ("u", underline)]
            .into_iter()
            .filter_map(|(class, applies)| applies.then_some(class))
            .collect();
        let _ =
            write!(svg, "<text x=\"{}\" y=\"{}\"", PADDING + number(self.column) * COLUMN, top + BASELINE);
        if !classes.is_empty() {
            let _ = write!(svg, " class=\"{}\"", classes.join(" "));
        }
        if colour != INK {
            let _ = write!(svg, " style=\"fill:{colour}\"");
        }
        let length = number(self.columns) * COLUMN;
        let text = escape(&self.text);
        let _ = writeln!(svg, " textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\">{text}</text>");
    }
}

/// A row's text, in pieces that have one style each and stand where they stand.
fn runs(row: &[Cell]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (column, cell) in row.iter().enumerate() {
        if cell.is_wide_continuation() || is_blank_text(cell) || block(cell).is_some() {
            continue;
        }
        let style = style(cell);
        let columns = if cell.is_wide() { 2 } else { 1 };
        match runs.last_mut() {
            // One blank between two words of a style is a blank; more are a gap.
            Some(run) if run.style == style && column <= run.column + run.columns + 1 => {
                if column > run.column + run.columns {
                    run.text.push(' ');
                    run.columns += 1;
                }
                run.text.push_str(cell.contents());
                run.columns += columns;
            }
            _ => runs.push(Run { column, columns, text: cell.contents().to_owned(), style }),
        }
    }
    runs
}

fn style(cell: &Cell) -> Style {
    Style { colour: ink(cell), bold: cell.bold(), italic: cell.italic(), underline: cell.underline() }
}

/// Backgrounds and block characters: for each colour the rectangles in it.
#[derive(Default)]
struct Areas {
    grounds: BTreeMap<String, Vec<Area>>,
    blocks: BTreeMap<String, Vec<Area>>,
}

#[derive(Clone, Copy)]
struct Area {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

impl Areas {
    fn take_row(&mut self, row: &[Cell], top: u32) {
        for (column, cell) in row.iter().enumerate() {
            let x = PADDING + number(column) * COLUMN;
            if let Some(colour) = ground(cell) {
                add(&mut self.grounds, colour, Area { x, y: top, width: COLUMN, height: ROW });
            }
            if let Some((from, height)) = block(cell) {
                add(&mut self.blocks, ink(cell), Area { x, y: top + from, width: COLUMN, height });
            }
        }
    }

    fn svg(&self) -> String {
        let mut svg = String::new();
        for (colour, areas) in self.grounds.iter().chain(&self.blocks) {
            let _ = write!(svg, "<path fill=\"{colour}\" shape-rendering=\"crispEdges\" d=\"");
            for Area { x, y, width, height } in areas {
                let _ = write!(svg, "M{x} {y}h{width}v{height}h-{width}z");
            }
            svg.push_str("\"/>\n");
        }
        svg
    }
}

/// Adds a rectangle, or makes the one to the left of it wider.
fn add(areas: &mut BTreeMap<String, Vec<Area>>, colour: String, area: Area) {
    let areas = areas.entry(colour).or_default();
    // In a row of half blocks upper and lower ones take turns, so that the neighbour may be one further back.
    let beside = |known: &&mut Area| {
        known.x + known.width == area.x && known.y == area.y && known.height == area.height
    };
    match areas.iter_mut().rev().take(2).find(beside) {
        Some(known) => known.width += area.width,
        None => areas.push(area),
    }
}

/// Of a block character, how far from the row's upper edge it begins and how high it is.
fn block(cell: &Cell) -> Option<(u32, u32)> {
    match cell.contents() {
        "█" => Some((0, ROW)),
        "▀" => Some((0, ROW / 2)),
        "▄" => Some((ROW / 2, ROW / 2)),
        _ => None,
    }
}

fn is_blank_text(cell: &Cell) -> bool {
    cell.contents().trim().is_empty()
}

fn is_blank(cell: &Cell) -> bool {
    is_blank_text(cell) && ground(cell).is_none()
}

/// The colour in which a cell's text is drawn.
fn ink(cell: &Cell) -> String {
    match (cell.inverse(), cell.dim()) {
        (true, _) => colour(cell.bgcolor()).unwrap_or_else(|| GROUND.to_owned()),
        (false, true) => colour(cell.fgcolor()).unwrap_or_else(|| SOFT.to_owned()),
        (false, false) => colour(cell.fgcolor()).unwrap_or_else(|| INK.to_owned()),
    }
}

/// What is behind a cell's text, where that is not the window.
fn ground(cell: &Cell) -> Option<String> {
    match cell.inverse() {
        true => Some(colour(cell.fgcolor()).unwrap_or_else(|| INK.to_owned())),
        false => colour(cell.bgcolor()),
    }
}

fn colour(colour: Color) -> Option<String> {
    match colour {
        Color::Default => None,
        Color::Idx(index) if usize::from(index) < COLOURS.len() => {
            Some(COLOURS[usize::from(index)].to_owned())
        }
        Color::Idx(index) => Some(extended(index)),
        Color::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
    }
}

/// The colours beyond the sixteen: a cube of six steps each way, then greys, as every terminal has them.
fn extended(index: u8) -> String {
    if index >= 232 {
        let grey = 8 + 10 * (index - 232);
        return format!("#{grey:02x}{grey:02x}{grey:02x}");
    }
    let step = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    let place = index - 16;
    format!("#{:02x}{:02x}{:02x}", step(place / 36), step(place / 6 % 6), step(place % 6))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a screen is small")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU16;

    fn picture(shown: &str) -> String {
        let size = |size| NonZeroU16::new(size).unwrap();
        let mut parser = vt100::Parser::new(size(6), size(20), 0);
        parser.process(shown.as_bytes());
        Picture::new("a <title>", "what & why", parser.screen()).svg()
    }

    #[test]
    fn a_run_stands_in_its_column_and_says_how_wide_it_is() {
        let svg = picture("a b   \x1b[1;32mgood\x1b[0m\r\n  <x>");
        for expected in [
            "<text x=\"18\" y=\"68\" textLength=\"27\" lengthAdjust=\"spacingAndGlyphs\">a b</text>",
            "<text x=\"72\" y=\"68\" class=\"b\" style=\"fill:#5cc3a6\" textLength=\"36\" \
             lengthAdjust=\"spacingAndGlyphs\">good</text>",
            "<text x=\"36\" y=\"86\" textLength=\"27\" lengthAdjust=\"spacingAndGlyphs\">&lt;x&gt;</text>",
            "<title>what &amp; why</title>",
            ">a &lt;title&gt;</text>",
            "width=\"216\" height=\"108\"",
        ] {
            assert!(svg.contains(expected), "{expected} in\n{svg}");
        }
    }

    #[test]
    fn blocks_are_rectangles_side_by_side() {
        // Black on white: an upper half, a lower half, a whole, twice the upper half; then nothing but white.
        let svg = picture("\x1b[30;107m▀▄█▀▀ \x1b[0m");
        assert!(!svg.contains('▀') && !svg.contains('█'), "{svg}");
        let blocks = "<path fill=\"#3a3732\" shape-rendering=\"crispEdges\" \
                      d=\"M18 54h9v9h-9zM27 63h9v9h-9zM36 54h9v18h-9zM45 54h18v9h-18z\"/>";
        assert!(svg.contains(blocks), "{svg}");
        let ground = "<path fill=\"#ffffff\" shape-rendering=\"crispEdges\" d=\"M18 54h54v18h-54z\"/>";
        assert!(svg.find(ground) < svg.find(blocks) && svg.contains(ground), "{svg}");
    }

    #[test]
    fn inverse_dim_wide_and_many_colours() {
        let svg = picture("\x1b[7mx\x1b[0m\x1b[2my\x1b[0m\x1b[38;5;196mz\x1b[38;2;1;2;3m\x1b[4m漢\x1b[0m");
        for expected in [
            "style=\"fill:#1b1a18\" textLength=\"9\"",
            "style=\"fill:#a39c8f\" textLength=\"9\"",
            "style=\"fill:#ff0000\" textLength=\"9\"",
            "class=\"u\" style=\"fill:#010203\" textLength=\"18\"",
        ] {
            assert!(svg.contains(expected), "{expected} in\n{svg}");
        }
    }

    #[test]
    fn the_colours_can_be_read() {
        let luminance = |colour: &str| {
            let part = |at: usize| {
                let part = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let ground = luminance(GROUND);
        for colour in [INK, SOFT].iter().chain(&COLOURS[1..]) {
            let contrast = (luminance(colour) + 0.05) / (ground + 0.05);
            assert!(contrast >= 4.5, "{colour}: {contrast:.2}");
        }
    }
}
