//! Curves over sizes that grow by factors, four panels of them on white.

use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 640);
const COLORS: [RGBColor; 2] = [RGBColor(0x1f, 0x6f, 0xeb), RGBColor(0x8c, 0x95, 0x9f)];
const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
const PAPER: RGBColor = RGBColor(0xd0, 0xd7, 0xde);

pub struct Panel {
    pub title: &'static str,
    pub curves: Vec<Curve>,
}

pub struct Curve {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// All of them in one picture.
pub fn svg(panels: &[Panel]) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).unwrap();
        for (area, panel) in root.split_evenly((2, 2)).iter().zip(panels) {
            draw(area, panel);
        }
        root.present().unwrap();
    }
    svg
}

fn draw(area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>, panel: &Panel) {
    let points = || panel.curves.iter().flat_map(|curve| curve.points.iter().copied());
    let (from, to) = points().fold((f64::MAX, 1.0), |(from, to): (f64, f64), (x, _)| (from.min(x), to.max(x)));
    let highest = points().map(|(_, y)| y).fold(1e-6, f64::max);
    let font = |size: u32| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(panel.title, font(20))
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d((from.min(to / 2.0)..to * 1.15).log_scale(), 0.0..highest * if panel.curves.len() > 1 { 1.5 } else { 1.15 })
        .unwrap();
    let short = |value: &f64| match *value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 100.0).round() / 100.0),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(PAPER)
        .axis_style(INK)
        .label_style(font(15))
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .x_labels(4)
        .y_labels(5)
        .draw()
        .unwrap();
    for (curve, color) in panel.curves.iter().zip(COLORS) {
        let line = PathElement::new(curve.points.clone(), color.stroke_width(2));
        let series = chart.draw_series([line]).unwrap();
        if panel.curves.len() > 1 {
            series.label(curve.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        }
        chart.draw_series(curve.points.iter().map(|point| Circle::new(*point, 3, color.filled()))).unwrap();
    }
    if panel.curves.len() > 1 {
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::UpperLeft).label_font(font(15)).background_style(WHITE).draw().unwrap();
    }
}
