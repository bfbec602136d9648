//! Charts as shapes with numbers for places, for SVG. Colours and strokes are the style's; each chart has a table behind it.

use std::time::Duration;

use crate::http::api::stats::rate;
use crate::http::console::moment::{Length, Moment};
use crate::http::console::stats::ends;
use crate::store::Stretch;

/// The room of a chart, in its own units.
pub(super) const WIDTH: f64 = 640.0;
pub(super) const HEIGHT: f64 = 160.0;

/// Bars, from the first stretch to the last.
#[derive(Clone, Debug, Default)]
pub(super) struct Bars {
    pub(super) bars: Vec<Bar>,
    pub(super) frame: Frame,
}

/// One piece of a bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) kind: &'static str,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) width: String,
    pub(super) height: String,
}

/// Lines, each broken where there is nothing to tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    pub(super) frame: Frame,
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    /// What SVG calls the data of a path.
    pub(super) path: String,
    /// Where its points are.
    pub(super) points: Vec<(String, String)>,
}

/// What stands around a chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub(super) top: String,
    pub(super) from: Option<Moment>,
    pub(super) to: Option<Moment>,
    pub(super) is_empty: bool,
}

impl Frame {
    fn of(trend: &[Stretch], top: String, is_empty: bool) -> Self {
        let ends = ends(trend);
        Self {
            top,
            from: ends.map(|(from, _)| Moment(from)),
            to: ends.map(|(_, to)| Moment(to)),
            is_empty,
        }
    }
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}

#[expect(clippy::cast_precision_loss, reason = "a chart is no more exact than a screen")]
fn float(value: u64) -> f64 {
    value as f64
}

fn width_of(trend: &[Stretch]) -> f64 {
    WIDTH / float(u64::try_from(trend.len().max(1)).unwrap_or(1))
}

/// Jobs, by what they came to.
pub(super) fn outcomes(trend: &[Stretch]) -> Bars {
    let most = trend.iter().map(|stretch| stretch.jobs).max().unwrap_or(0);
    let step = width_of(trend);
    let mut bars = Vec::new();
    for (place, stretch) in (0_u64..).zip(trend) {
        let others = stretch.jobs.saturating_sub(stretch.succeeded + stretch.failed);
        let mut y = HEIGHT;
        for (kind, count) in [
            ("failed", stretch.failed),
            ("succeeded", stretch.succeeded),
            ("others", others),
        ] {
            if count == 0 {
                continue;
            }
            let height = HEIGHT * float(count) / float(most.max(1));
            y -= height;
            bars.push(Bar {
                kind,
                x: number(float(place) * step + step * 0.1),
                y: number(y),
                width: number(step * 0.8),
                height: number(height),
            });
        }
    }
    Bars {
        bars,
        frame: Frame::of(trend, most.to_string(), most == 0),
    }
}

/// Which share succeeded, and which share healed.
pub(super) fn rates(trend: &[Stretch]) -> Lines {
    let success = |stretch: &Stretch| rate(stretch.succeeded, stretch.succeeded + stretch.failed);
    let healed = |stretch: &Stretch| rate(stretch.healed, stretch.judged);
    let lines = vec![
        line(trend, ("first", "succeeded"), 1.0, &success),
        line(trend, ("second", "healed"), 1.0, &healed),
    ];
    let is_empty = lines.iter().all(|line| line.points.is_empty());
    Lines {
        lines,
        frame: Frame::of(trend, "100 %".to_owned(), is_empty),
    }
}

/// How long it took to heal.
pub(super) fn times(trend: &[Stretch]) -> Lines {
    let p50 = |stretch: &Stretch| stretch.time_to_heal.map(|times| times.p50.as_secs_f64());
    let p95 = |stretch: &Stretch| stretch.time_to_heal.map(|times| times.p95.as_secs_f64());
    let most = trend.iter().filter_map(p95).fold(0.0, f64::max);
    let scale = if most > 0.0 { most } else { 1.0 };
    let lines = vec![
        line(trend, ("first", "half of them (p50)"), scale, &p50),
        line(trend, ("second", "95 of 100 (p95)"), scale, &p95),
    ];
    let top = Length(Duration::try_from_secs_f64(most).unwrap_or_default());
    Lines {
        lines,
        frame: Frame::of(trend, top.to_string(), most <= 0.0),
    }
}

fn line(
    trend: &[Stretch],
    (kind, name): (&'static str, &'static str),
    most: f64,
    of: &dyn Fn(&Stretch) -> Option<f64>,
) -> Line {
    let step = width_of(trend);
    let mut made = Line {
        kind,
        name,
        ..Line::default()
    };
    let mut goes_on = false;
    for (place, stretch) in (0_u64..).zip(trend) {
        let Some(value) = of(stretch) else {
            goes_on = false;
            continue;
        };
        let x = number(float(place) * step + step / 2.0);
        let y = number(HEIGHT - HEIGHT * (value / most).clamp(0.0, 1.0));
        made.path
            .push_str(&format!("{}{x} {y}", if goes_on { "L" } else { "M" }));
        made.points.push((x, y));
        goes_on = true;
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fake::now;

    fn stretch(jobs: u64, succeeded: u64, failed: u64) -> Stretch {
        Stretch {
            begins: now(),
            jobs,
            succeeded,
            failed,
            healed: 0,
            judged: 0,
            time_to_heal: None,
        }
    }

    #[test]
    fn bars_stand_on_the_ground_and_the_highest_reaches_the_top() {
        let bars = outcomes(&[stretch(4, 3, 1), stretch(0, 0, 0), stretch(2, 0, 0)]).bars;
        let shapes: Vec<_> = bars
            .iter()
            .map(|bar| (bar.kind, bar.y.as_str(), bar.height.as_str()))
            .collect();
        assert_eq!(
            shapes,
            [
                ("failed", "120.0", "40.0"),
                ("succeeded", "0.0", "120.0"),
                ("others", "80.0", "80.0")
            ]
        );
    }

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let chart = rates(&[stretch(1, 1, 0), stretch(0, 0, 0), stretch(2, 1, 1), stretch(1, 0, 1)]);
        assert_eq!(chart.lines[0].path, "M80.0 0.0M400.0 80.0L560.0 160.0");
        assert_eq!(chart.lines[1].path, "");
        assert!(times(&[]).frame.is_empty);
    }
}
