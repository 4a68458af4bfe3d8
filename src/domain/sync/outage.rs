//! When to say that the vault does not answer, once for all objects, and when to say that it does again.

/// Failures in a row that make an outage: one that passes is no news.
const PATIENCE: u32 = 3;

/// Counts answers of the vault.
#[derive(Debug, Default)]
pub struct Outage {
    failures: u32,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageNews {
    /// The vault does not answer.
    Begun,
    /// It answers again.
    Over,
}

impl Outage {
    /// Notes whether the vault answered; answers what is new, once.
    pub fn note(&mut self, answered: bool) -> Option<OutageNews> {
        let before = self.failures;
        self.failures = if answered { 0 } else { before.saturating_add(1) };
        if answered {
            return (before >= PATIENCE).then_some(OutageNews::Over);
        }
        (self.failures == PATIENCE).then_some(OutageNews::Begun)
    }

    /// Whether an outage was told and is not over.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.failures >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let mut outage = Outage::default();
        let news: Vec<_> = [false, false, true, false, false, false, false, false, true, true]
            .into_iter()
            .map(|answered| outage.note(answered))
            .collect();
        let (begun, over) = (Some(OutageNews::Begun), Some(OutageNews::Over));
        assert_eq!(news, [None, None, None, None, None, begun, None, None, over, None]);
        assert!(!outage.lasts());
    }
}
