//! Figures and samples, and the one place that writes to standard output: one JSON object a line.

use std::io::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Outcome;

/// One figure, as printed.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    figure: &'static str,
    value: Value,
    unit: &'static str,
    /// One-minute load of the machine before the measurement began.
    load1: f64,
    /// How many observations stand behind the value.
    n: u64,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl Figure {
    /// A figure from `n` observations. The load is set when its group is printed.
    pub(crate) fn new(figure: &'static str, value: f64, unit: &'static str, n: u64) -> Self {
        Self {
            figure,
            value: rounded(value),
            unit,
            load1: 0.0,
            n,
            extra: Map::new(),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.figure
    }

    /// Its value, as rounded.
    pub(crate) fn value(&self) -> f64 {
        self.value.as_f64().unwrap_or(f64::NAN)
    }

    /// Something that stands beside the value.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    /// A number that stands beside the value.
    pub(crate) fn with_number(self, key: &str, value: f64) -> Self {
        self.with(key, rounded(value))
    }

    /// Prints the figure.
    pub(crate) fn print(mut self, load1: f64) -> Outcome<()> {
        self.load1 = load1;
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &self)?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }
}

/// Three decimals below ten, one below a thousand, none above: more would be noise.
fn rounded(value: f64) -> Value {
    let scale = match value.abs() {
        small if small < 10.0 => 1000.0,
        medium if medium < 1000.0 => 10.0,
        #[expect(clippy::cast_possible_truncation, reason = "saturates far above any figure")]
        _ => return Value::from(value.round() as i64),
    };
    Value::from((value * scale).round() / scale)
}

/// Observations of one quantity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The nearest-rank percentile: the smallest observation that `percent` of all do not exceed. NaN without observations.
    pub(crate) fn percentile(&self, percent: u32) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent as usize).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// The median of a few runs as a figure, with their extremes.
    pub(crate) fn median(&self, figure: &'static str, unit: &'static str) -> Figure {
        self.at(50, figure, unit)
    }

    /// A percentile as a figure, with the extremes.
    pub(crate) fn at(&self, percent: u32, figure: &'static str, unit: &'static str) -> Figure {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Figure::new(figure, self.percentile(percent), unit, self.count())
            .with_number("min", least)
            .with_number("max", most)
    }
}
