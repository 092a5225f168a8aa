//! What is reported: tables of numbers with units, for people and as JSON.

use std::fmt::Write;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The median of many measurements and how sure it is.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The lower end of the median's 95 % confidence interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Summary {
    /// Of at least one measurement. The interval comes from the order of the measurements alone (the binomial distribution
    /// of how many lie below the median), whatever their distribution.
    pub fn of(mut measured: Vec<f64>) -> Self {
        measured.sort_by(f64::total_cmp);
        let last = measured.len() - 1;
        let at = |position: f64| measured[(position.max(0.0) as usize).min(last)];
        let middle = last as f64 / 2.0;
        let reach = 1.96 * (measured.len() as f64).sqrt() / 2.0;
        let median = (measured[last / 2] + measured[measured.len() / 2]) / 2.0;
        Self { median, low: at((middle - reach).floor()), high: at((middle + reach).ceil()) }
    }
}

/// Everything that one run found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where and when.
    pub machine: Machine,
    /// The tables.
    pub tables: Vec<Table>,
    /// What had to be reached.
    pub goals: Vec<Goal>,
}

/// Where and when it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// How many threads run at the same time.
    pub cores: usize,
    /// The operating system and the processor's architecture.
    pub system: String,
    /// The day, in UTC.
    pub date: String,
    /// What makes this report again.
    pub command: String,
}

impl Machine {
    /// This one, now.
    pub fn this(command: String) -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            command,
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        let cores = if self.cores == 1 { "core" } else { "cores" };
        format!("{} {cores}, {}, {}, {}", self.cores, self.system, self.date, self.command)
    }
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// What it is about.
    pub title: &'static str,
    /// What stands in its columns, after the name.
    pub columns: Vec<Column>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// What a reader has to know.
    pub note: String,
}

/// A column of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What it is, for the head of the table and the JSON.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// Digits after the point, for people.
    pub digits: usize,
}

/// A row: a name and a number for each column, or why there is none.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The numbers.
    pub values: Vec<Option<f64>>,
    /// Instead of numbers.
    pub not_here: Option<String>,
}

/// Something that had to be reached.
#[derive(Debug, Serialize)]
pub struct Goal {
    /// What, with its bound.
    pub what: String,
    /// What was measured.
    pub measured: f64,
    /// Whether that is good enough.
    pub met: bool,
}

impl Table {
    /// A column that is not there in this run stays empty.
    fn text(&self, text: &mut String) -> std::fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).chain([self.title.len()]).max();
        let width = width.unwrap_or_default();
        write!(text, "\n{:width$}", self.title)?;
        for column in &self.columns {
            let head = if column.unit.is_empty() {
                column.name.to_owned()
            } else {
                format!("{} [{}]", column.name, column.unit)
            };
            write!(text, "  {head:>width$}", width = column.width())?;
        }
        text.push('\n');
        for row in &self.rows {
            write!(text, "{:width$}", row.name)?;
            if let Some(why) = &row.not_here {
                writeln!(text, "  not here: {why}")?;
                continue;
            }
            for (column, value) in self.columns.iter().zip(&row.values) {
                let (width, digits) = (column.width(), column.digits);
                match value {
                    Some(value) => write!(text, "  {value:>width$.digits$}")?,
                    None => write!(text, "  {:>width$}", "")?,
                }
            }
            text.push('\n');
        }
        if !self.note.is_empty() {
            writeln!(text, "{}", self.note)?;
        }
        Ok(())
    }
}

impl Column {
    fn width(&self) -> usize {
        let unit = if self.unit.is_empty() { 0 } else { self.unit.chars().count() + 3 };
        (self.name.chars().count() + unit).max(9)
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("title", self.title)?;
        let units: std::collections::BTreeMap<_, _> =
            self.columns.iter().map(|column| (column.name, column.unit)).collect();
        map.serialize_entry("units", &units)?;
        let rows: Vec<serde_json::Value> = self.rows.iter().map(|row| row.json(&self.columns)).collect();
        map.serialize_entry("rows", &rows)?;
        map.end()
    }
}

impl Row {
    fn json(&self, columns: &[Column]) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        object.insert("name".to_owned(), self.name.clone().into());
        if let Some(why) = &self.not_here {
            object.insert("not here".to_owned(), why.clone().into());
        }
        for (column, value) in columns.iter().zip(&self.values) {
            object.insert(column.name.to_owned(), serde_json::json!(value));
        }
        object.into()
    }
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = self.machine.line();
        text.push('\n');
        for table in &self.tables {
            // Writing into a string does not fail.
            let _ = table.text(&mut text);
        }
        if !self.goals.is_empty() {
            text.push_str("\ngoals\n");
        }
        for goal in &self.goals {
            let met = if goal.met { "met   " } else { "MISSED" };
            let _ = writeln!(text, "{met}  {}: {:.2}", goal.what, goal.measured);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_its_interval() {
        let of_99 = Summary::of((1..=99).rev().map(f64::from).collect());
        assert_eq!(of_99.median, 50.0);
        // The 40th and the 60th of 99, by the tables of the binomial distribution; one more on each side for being cautious.
        assert!((39.0..=41.0).contains(&of_99.low) && (59.0..=61.0).contains(&of_99.high), "{of_99:?}");
        let of_one = Summary::of(vec![3.0]);
        assert_eq!((of_one.median, of_one.low, of_one.high), (3.0, 3.0, 3.0));
        assert_eq!(Summary::of(vec![1.0, 2.0]).median, 1.5);
    }

    #[test]
    fn tables_have_units_and_say_what_is_not_here() {
        let time = Column { name: "time", unit: "ns", digits: 1 };
        let count = Column { name: "allocations", unit: "", digits: 0 };
        let here = Row { name: "a".to_owned(), values: vec![Some(1.25), None], not_here: None };
        let other = Row { name: "b".to_owned(), values: vec![], not_here: Some("no keychain".to_owned()) };
        let table =
            Table { title: "t", columns: vec![time, count], rows: vec![here, other], note: String::new() };
        let json = serde_json::to_value(&table).unwrap();
        assert_eq!(json["units"]["time"], "ns");
        assert_eq!(json["rows"][0]["time"], 1.25);
        assert_eq!(json["rows"][1]["not here"], "no keychain");
        let mut text = String::new();
        table.text(&mut text).unwrap();
        assert!(
            text.contains("time [ns]") && text.contains("1.2") && text.contains("not here: no keychain"),
            "{text}"
        );
    }
}
