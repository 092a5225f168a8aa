//! The plot of the client credentials ratios, as SVG that is readable on light and dark ground.

use std::fmt::Write;

use crate::report::Machine;

/// A group of bars.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its heading.
    pub title: String,
    /// The bars.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Who.
    pub name: String,
    /// How long it is, where 1 is the baseline.
    pub ratio: f64,
    /// The interval of the ratio; drawn unless it is the baseline's own.
    pub interval: Option<(f64, f64)>,
    /// Whether it stands out.
    pub ours: bool,
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 64.0;
const BAR: f64 = 22.0;
const STEP: f64 = 30.0;
const HEADING: f64 = 28.0;
const STYLE: &str = "
  text { font-family: system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .group { font-weight: 600; }
  .small { font-size: 11px; fill: #59636e; }
  .bar { fill: #8c959f; } .ours { fill: #0969da; }
  .grid { stroke: #d1d9e0; stroke-width: 1; } .one { stroke: #59636e; stroke-width: 1; stroke-dasharray: 4 3; }
  .interval { stroke: #1f2328; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .small { fill: #9198a1; }
    .bar { fill: #656c76; } .ours { fill: #4493f8; }
    .grid { stroke: #3d444d; } .one { stroke: #9198a1; } .interval { stroke: #f0f6fc; }
  }";

/// The plot as a document of its own.
pub fn svg(title: &str, axis: &str, groups: &[Group], machine: &Machine) -> String {
    let longest = groups.iter().flat_map(|group| &group.bars).map(|bar| bar.ratio).fold(1.0, f64::max);
    let end = (longest / 0.2).ceil() * 0.2;
    let x = |ratio: f64| LEFT + ratio / end * (WIDTH - LEFT - RIGHT);
    let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
    let bottom = TOP + groups.len() as f64 * HEADING + bars as f64 * STEP;
    let height = bottom + 70.0;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="title caption">
<style>{STYLE}
</style>
<text id="title" class="title" x="16" y="28">{}</text>
"#,
        escaped(title)
    );
    // Writing into a string does not fail.
    let mut line = |text: String| {
        let _ = writeln!(svg, "{text}");
    };
    let ticks = (end / 0.2).round() as usize;
    for tick in 0..=ticks {
        let ratio = tick as f64 * 0.2;
        let (class, at) = (if tick == 5 { "one" } else { "grid" }, x(ratio));
        line(format!(
            r#"<line class="{class}" x1="{at:.1}" y1="{:.1}" x2="{at:.1}" y2="{bottom:.1}"/>"#,
            TOP - 14.0
        ));
        line(format!(
            r#"<text class="small" x="{at:.1}" y="{:.1}" text-anchor="middle">{ratio:.1}</text>"#,
            bottom + 16.0
        ));
    }
    let mut y = TOP;
    for group in groups {
        line(format!(r#"<text class="group" x="16" y="{:.1}">{}</text>"#, y + 12.0, escaped(&group.title)));
        y += HEADING;
        for bar in &group.bars {
            let class = if bar.ours { "ours" } else { "bar" };
            let (middle, tip) = (y + BAR / 2.0, x(bar.ratio));
            line(format!(
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 10.0,
                middle + 4.5,
                escaped(&bar.name)
            ));
            line(format!(
                r#"<rect class="{class}" x="{LEFT}" y="{y:.1}" width="{:.1}" height="{BAR}" rx="2"/>"#,
                tip - LEFT
            ));
            let mut label = tip;
            if let Some((low, high)) = bar.interval {
                let (low, high) = (x(low), x(high));
                label = label.max(high);
                line(format!(
                    r#"<line class="interval" x1="{low:.1}" y1="{middle:.1}" x2="{high:.1}" y2="{middle:.1}"/>"#
                ));
            }
            line(format!(r#"<text x="{:.1}" y="{:.1}">{:.2}</text>"#, label + 6.0, middle + 4.5, bar.ratio));
            y += STEP;
        }
    }
    line(format!(
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
        x(end / 2.0),
        bottom + 36.0,
        escaped(axis)
    ));
    line(format!(
        r#"<text id="caption" class="small" x="16" y="{:.1}">{}</text>"#,
        bottom + 58.0,
        escaped(&machine.line())
    ));
    line("</svg>".to_owned());
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_ratios() {
        let bar = |name: &str, ratio, ours| Bar {
            name: name.to_owned(),
            ratio,
            interval: Some((ratio, ratio)),
            ours,
        };
        let groups =
            [Group { title: "one & all".to_owned(), bars: vec![bar("a", 1.0, false), bar("b", 0.5, true)] }];
        let svg = svg("t", "x", &groups, &Machine::this("c".to_owned()));
        assert!(svg.contains("one &amp; all"));
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect"))
            .map(|line| line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(widths.len(), 2);
        assert!((widths[0] - 2.0 * widths[1]).abs() < 0.2, "{widths:?}");
    }
}
