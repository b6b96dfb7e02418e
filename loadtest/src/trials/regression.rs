//! A straight line through points, by least squares.
//!
//! Promises: a line only where there is one. Does not: say how good it is.

/// `y = intercept + slope * x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Value at 0.
    pub intercept: f64,
    /// Rise for each 1.
    pub slope: f64,
}

impl Line {
    /// The line with the least squares; `None` with fewer than two different `x`.
    #[expect(clippy::cast_precision_loss, reason = "a few points")]
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let mut together = 0.0;
        let mut alone = 0.0;
        for (x, y) in points {
            together += (x - mean_x) * (y - mean_y);
            alone += (x - mean_x).powi(2);
        }
        // NaN, of no points at all, is not above.
        (alone > 0.0).then(|| {
            let slope = together / alone;
            Self {
                intercept: mean_y - slope * mean_x,
                slope,
            }
        })
    }

    /// The value at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_two_places() {
        assert_eq!(Line::through(&[]), None);
        assert_eq!(Line::through(&[(1.0, 2.0), (1.0, 3.0)]), None);
        let line = Line::through(&[(0.0, 1.0), (2.0, 5.0), (4.0, 9.0)]).unwrap();
        assert!((line.at(3.0) - 7.0).abs() < 1e-9 && (line.intercept - 1.0).abs() < 1e-9);
    }
}
