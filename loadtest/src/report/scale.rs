//! Axes: where a value lies between the ends, and which values get a tick.
//!
//! Promises: ticks are round numbers, at least two, never so many that labels touch; a linear axis
//! of amounts begins at zero. Does not: draw.

use super::number;

/// What is closer together is one value.
const LEAST: f64 = 1e-9;

/// One axis.
#[derive(Debug, Clone)]
pub struct Scale {
    low: f64,
    high: f64,
    way: Way,
    /// Its ticks.
    pub ticks: Vec<Tick>,
    /// What to put behind the name of the axis: the unit of the labels, when the axis chose it.
    pub unit: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Linear,
    Log,
    /// Of a percentile: each further nine takes as much room as the one before.
    Nines,
}

/// A value with a label.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where, from 0 to 1.
    pub at: f64,
    /// Its label.
    pub label: String,
}

impl Scale {
    /// From zero, or below when there are negative values, to a round number; about `count` ticks.
    pub fn amount(values: impl Iterator<Item = f64>, count: f64) -> Self {
        let (low, high) = ends(values).unwrap_or((0.0, 1.0));
        let (low, high) = (low.min(0.0), high.max(0.0));
        let high = if high - low > LEAST { high } else { low + 1.0 };
        let step = step((high - low) / count, &[1.0, 2.0, 2.5, 5.0, 10.0]);
        let low = (low / step + 1e-9).floor() * step;
        let high = (high / step - 1e-9).ceil() * step;
        Self::linear(low, high, step, 1.0, "")
    }

    /// From the first to the last value, with about `count` ticks.
    pub fn span(values: impl Iterator<Item = f64>, count: f64) -> Self {
        let (low, high) = ends(values).unwrap_or((0.0, 1.0));
        // Populations and numbers of nodes: an axis that nearly begins at zero shall do so.
        let low = if low > 0.0 && low < 0.5 * high {
            0.0
        } else {
            low
        };
        let least = LEAST * low.abs().max(high.abs()).max(1.0);
        let pad = if high - low > least {
            0.0
        } else {
            least.max(0.5)
        };
        let (low, high) = (low - pad, high + pad);
        let step = step((high - low) / count, &[1.0, 2.0, 5.0, 10.0]);
        Self::linear(low, high, step, 1.0, "")
    }

    /// Seconds from 0 to `high`, labelled in seconds, minutes or hours.
    pub fn time(high: f64, count: f64) -> Self {
        let high = if high > LEAST { high } else { 1.0 };
        let (unit, seconds) = match high {
            _ if high <= 240.0 => ("s", 1.0),
            _ if high <= 4.0 * 3600.0 => ("min", 60.0),
            _ => ("h", 3600.0),
        };
        let steps: &[f64] = if unit == "s" {
            &[1.0, 2.0, 5.0, 10.0]
        } else {
            &[1.0, 2.0, 3.0, 5.0, 10.0]
        };
        let step = step(high / seconds / count, steps) * seconds;
        Self::linear(0.0, high, step, seconds, unit)
    }

    fn linear(low: f64, high: f64, step: f64, divisor: f64, unit: &'static str) -> Self {
        let mut scale = Self {
            low,
            high,
            way: Way::Linear,
            ticks: Vec::new(),
            unit,
        };
        let first = (low / step - 1e-9).ceil();
        for index in 0..64 {
            let value = (first + f64::from(index)) * step;
            if value > high + step * 1e-6 {
                break;
            }
            let label = number::tick(value / divisor, step / divisor);
            scale.tick(value, label);
        }
        scale
    }

    /// Logarithmic, from a round number below the values to one above.
    pub fn log(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(values.filter(|value| *value > 0.0)).unwrap_or((1.0, 10.0));
        let low = 10_f64.powf(low.log10().clamp(-12.0, 15.0));
        let high = 10_f64.powf(high.log10().clamp(-12.0, 15.0));
        let low = round_log(low, [5.0, 2.0, 1.0], |candidate| {
            candidate <= low * (1.0 + 1e-9)
        });
        let high = round_log(high, [1.0, 2.0, 5.0], |candidate| {
            candidate >= high * (1.0 - 1e-9)
        })
        .max(low * 2.0);
        let decades = (high / low).log10();
        let parts: &[f64] = if decades <= 3.5 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let mut scale = Self {
            low,
            high,
            way: Way::Log,
            ticks: Vec::new(),
            unit: "",
        };
        let every = if decades > 9.0 { 2 } else { 1 };
        for exponent in (-13..=17).filter(|exponent| exponent % every == 0) {
            for part in parts {
                let value = part * 10_f64.powi(exponent);
                if value >= low * (1.0 - 1e-6) && value <= high * (1.0 + 1e-6) {
                    let label = number::tick(value, 10_f64.powi(exponent));
                    scale.tick(value, label);
                }
            }
        }
        scale
    }

    /// Percentiles from 50 to `high`, below 100, with a tick at every nine.
    pub fn nines(high: f64) -> Self {
        let mut scale = Self {
            low: 50.0,
            high: high.clamp(90.0, 99.999),
            way: Way::Nines,
            ticks: Vec::new(),
            unit: "",
        };
        for percentile in [
            50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999,
        ] {
            if percentile <= scale.high {
                scale.tick(percentile, format!("p{percentile}"));
            }
        }
        scale
    }

    fn tick(&mut self, value: f64, label: String) {
        let at = self.at(value);
        self.ticks.push(Tick { at, label });
    }

    /// Where `value` lies, from 0 to 1; what is outside lies at the end.
    pub fn at(&self, value: f64) -> f64 {
        let on = |value: f64| match self.way {
            Way::Linear => value,
            Way::Log => value.max(self.low).log10(),
            Way::Nines => -(1.0 - value.min(self.high) / 100.0).log10(),
        };
        let (low, high) = (on(self.low), on(self.high));
        ((on(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// Whether `value` has a place on it.
    pub fn holds(&self, value: f64) -> bool {
        let slack = (self.high - self.low).abs() * 1e-9;
        value >= self.low - slack && value <= self.high + slack
    }
}

fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    // Beyond this differences and logarithms lose their meaning.
    let values = values.map(|value| value.clamp(-1e15, 1e15));
    values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// The first of `parts` times a power of ten that is at least `least`.
fn step(least: f64, parts: &[f64]) -> f64 {
    let power = 10_f64.powf(least.max(1e-12).log10().floor());
    let part = parts
        .iter()
        .find(|part| *part * power >= least * (1.0 - 1e-9));
    part.unwrap_or(&10.0) * power
}

fn round_log(value: f64, parts: [f64; 3], fits: impl Fn(f64) -> bool) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let candidates = parts.iter().map(|part| part * power);
    candidates
        .chain([power * 10.0])
        .find(|candidate| fits(*candidate))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn amounts_begin_at_zero_and_end_at_a_round_number() {
        let scale = Scale::amount([930.0, 1_870.0].into_iter(), 5.0);
        assert_eq!(labels(&scale), ["0", "500", "1,000", "1,500", "2,000"]);
        assert!((scale.at(1_000.0) - 0.5).abs() < 1e-9);
        let none = Scale::amount(std::iter::empty(), 5.0);
        assert_eq!(labels(&none).len(), 6);
        let flat = Scale::amount([0.0, 0.0].into_iter(), 5.0);
        assert!(flat.at(0.0) == 0.0);
    }

    #[test]
    fn time_is_in_the_unit_that_fits() {
        assert_eq!(labels(&Scale::time(61.0, 6.0))[..3], ["0", "20", "40"]);
        let minutes = Scale::time(900.0, 6.0);
        assert_eq!((minutes.unit, labels(&minutes)[1]), ("min", "3"));
        assert_eq!(Scale::time(8.0 * 3600.0, 8.0).unit, "h");
    }

    #[test]
    fn every_nine_takes_the_same_room() {
        let scale = Scale::nines(99.9);
        let nine = scale.at(99.0) - scale.at(90.0);
        assert!((scale.at(99.9) - scale.at(99.0) - nine).abs() < 1e-9);
        assert_eq!(labels(&scale).first(), Some(&"p50"));
        assert_eq!(labels(&scale).last(), Some(&"p99.9"));
    }

    #[test]
    fn logarithmic_axes_end_at_round_numbers() {
        let scale = Scale::log([0.7, 180.0].into_iter());
        assert_eq!(labels(&scale).first(), Some(&"0.5"));
        assert_eq!(labels(&scale).last(), Some(&"200"));
    }

    #[test]
    fn no_values_however_odd_give_an_endless_or_empty_axis() {
        let odd = [0.0, -0.0, 1e-300, 1e300, -1e300, 5e-324, 99.0, 1e15];
        for first in odd {
            for second in odd {
                let both = [first, second];
                for scale in [
                    Scale::amount(both.into_iter(), 5.0),
                    Scale::span(both.into_iter(), 5.0),
                    Scale::log(both.into_iter()),
                    Scale::time(second, 6.0),
                ] {
                    let count = scale.ticks.len();
                    assert!((1..=64).contains(&count), "{both:?}: {scale:?}");
                    let finite = both.iter().all(|value| scale.at(*value).is_finite());
                    assert!(finite, "{both:?}: {scale:?}");
                }
            }
        }
    }
}
