//! Plots as SVG: what happened over time, and how cost grows.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::trace::Trace;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

const SIZE: (u32, u32) = (900, 560);

const FAINT: RGBColor = RGBColor(200, 205, 215);
const STRONG: RGBColor = RGBColor(20, 80, 160);
const SECOND: RGBColor = RGBColor(200, 110, 20);

/// Colours of marks, by kind.
const MARKS: [RGBColor; 6] = [
    RGBColor(190, 30, 45),
    RGBColor(30, 140, 60),
    RGBColor(130, 60, 170),
    RGBColor(160, 120, 0),
    RGBColor(0, 140, 160),
    RGBColor(90, 90, 90),
];

/// Speed over time above, lanes over time below, and a line where something was decided.
pub(crate) fn trace(path: &Path, title: &str, ideal: f64, trace: &Trace) -> Result<(), String> {
    let draw = || -> Drawn {
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (above, below) = root.titled(title, ("sans-serif", 18))?.split_vertically(300);
        speed(&above, ideal, trace)?;
        lanes(&below, trace)?;
        Ok(root.present()?)
    };
    draw().map_err(|error| format!("{}: {error}", path.display()))
}

/// How something grows: for each label a line over a logarithmic axis.
pub(crate) fn growth(path: &Path, title: &str, axes: (&str, &str), lines: &[Growth]) -> Result<(), String> {
    let draw = || -> Drawn {
        let root = SVGBackend::new(path, (700, 360)).into_drawing_area();
        root.fill(&WHITE)?;
        let points = || lines.iter().flat_map(|line| line.points.iter());
        let first = points().map(|point| point.0).fold(f64::MAX, f64::min);
        let last = points().map(|point| point.0).fold(first * 2.0, f64::max);
        let most = points().map(|point| point.1).fold(0.0, f64::max) * 1.15;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 18))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d((first..last).log_scale(), 0.0..most.max(1e-9))?;
        let mesh = &mut chart.configure_mesh();
        mesh.light_line_style(TRANSPARENT).x_desc(axes.0).y_desc(axes.1).draw()?;
        for (number, line) in lines.iter().enumerate() {
            let colour = [STRONG, SECOND, MARKS[1]][number % 3];
            let series = LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)).point_size(3);
            chart
                .draw_series(series)?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
        }
        legend(&mut chart)?;
        Ok(root.present()?)
    };
    draw().map_err(|error| format!("{}: {error}", path.display()))
}

/// A line of such a plot.
pub(crate) struct Growth {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

fn speed<'a>(area: &Area<'a>, ideal: f64, trace: &Trace) -> Drawn {
    let mega = |points: &[(f64, f64)]| points.iter().map(|&(at, of)| (at, of / 1e6)).collect::<Vec<_>>();
    let most = trace.speed.iter().map(|&(_, of)| of / 1e6).fold(ideal / 1e6, f64::max) * 1.08;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..trace.end, 0.0..most)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).y_desc("MB/s").draw()?;
    for flow in &trace.flows {
        chart.draw_series(LineSeries::new(mega(flow), &FAINT))?;
    }
    chart
        .draw_series(LineSeries::new([(0.0, ideal / 1e6), (trace.end, ideal / 1e6)], &BLACK.mix(0.35)))?
        .label("ideal")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], BLACK.mix(0.35)));
    chart
        .draw_series(LineSeries::new(mega(&trace.speed), STRONG.stroke_width(2)))?
        .label("all connections, and each")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], STRONG.stroke_width(2)));
    for (number, kind) in trace.kinds().into_iter().enumerate() {
        let colour = MARKS[number % MARKS.len()];
        let at = trace.marks.iter().filter(|(_, of, _)| of == kind).map(|&(at, _, _)| at);
        chart
            .draw_series(at.map(|at| PathElement::new([(at, 0.0), (at, most)], colour.mix(0.6))))?
            .label(kind)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    legend(&mut chart)
}

fn lanes<'a>(area: &Area<'a>, trace: &Trace) -> Drawn {
    let of = |points: &[(f64, f64)]| points.iter().map(|&(_, n)| n).fold(1.0, f64::max);
    let most = of(&trace.lanes).max(of(&trace.busy)) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..trace.end, 0.0..most)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).x_desc("seconds").y_desc("lanes").draw()?;
    chart
        .draw_series(LineSeries::new(trace.busy.iter().copied(), &SECOND))?
        .label("connections that brought bytes")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], SECOND));
    chart
        .draw_series(LineSeries::new(steps(&trace.lanes), STRONG.stroke_width(2)))?
        .label("lanes open, as thence says")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], STRONG.stroke_width(2)));
    for (number, kind) in trace.kinds().into_iter().enumerate() {
        let at = trace.marks.iter().filter(|(_, of, _)| of == kind).map(|&(at, _, _)| at);
        let style = MARKS[number % MARKS.len()].mix(0.6);
        chart.draw_series(at.map(|at| PathElement::new([(at, 0.0), (at, most)], style)))?;
    }
    legend(&mut chart)
}

fn legend<'a, X, Y>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(FAINT)
        .draw()?;
    Ok(())
}

/// A value holds until the next one comes.
fn steps(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let corners = points.windows(2).flat_map(|pair| [pair[0], (pair[1].0, pair[0].1)]);
    corners.chain(points.last().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_holds_until_the_next() {
        assert_eq!(steps(&[(0.0, 1.0), (2.0, 3.0)]), [(0.0, 1.0), (2.0, 1.0), (2.0, 3.0)]);
        assert!(steps(&[]).is_empty());
    }

    #[test]
    fn a_trace_of_nothing_can_be_drawn() {
        let path = std::env::temp_dir().join(format!("thence-plot-{}.svg", std::process::id()));
        let drawn = trace(&path, "nothing", 1e6, &Trace { end: 1.0, ..Trace::default() });
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _gone = std::fs::remove_file(&path);
        assert!(drawn.is_ok() && text.contains("seconds"), "{drawn:?}");
    }
}
