//! The committed table of figures in `docs/performance.md`: what a request cost before, so that a run can say what became dearer.

const PAGE: &str = include_str!("../../docs/performance.md");

/// A rise of more than this is reported.
const NOTEWORTHY: f64 = 1.2;

/// The value that the table holds for a figure.
pub(crate) fn committed(figure: &str) -> Option<f64> {
    let (_, measured) = PAGE.split_once("## Measured")?;
    let cell = measured.lines().find_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?;
        (name == figure).then(|| cells.next())?
    })?;
    cell.split([' ', '|']).next()?.replace(',', "").parse().ok()
}

/// How much more than the table says a figure is, as a factor, if that is worth a word.
pub(crate) fn rise(figure: &str, value: f64) -> Option<f64> {
    let factor = value / committed(figure)?;
    (factor > NOTEWORTHY).then_some(factor)
}
