//! Pictures of scores, as SVG.

use std::fmt::Write as _;

use crate::curve::Scores;
use crate::reliability::Reliability;

/// Pixels of the square that is drawn in, and around it.
const SIDE: f64 = 360.0;
const EDGE: f64 = 48.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e", "#555555"];

/// Receiver operating characteristics, one line for each name. False alarms are drawn from 0 to `widest`, at most 1.
#[must_use]
pub fn roc_picture(title: &str, lines: &[(&str, &Scores)], widest: f64) -> String {
    let widest = if widest > 0.0 && widest <= 1.0 { widest } else { 1.0 };
    let mut svg = frame(title, "false alarms", "attacks found", widest);
    for (index, (name, scores)) in lines.iter().enumerate() {
        let colour = COLOURS.get(index % COLOURS.len()).unwrap_or(&"#000000");
        let mut points = String::new();
        let mut last = 0.0;
        for point in scores.curve() {
            if point.false_alarms > widest {
                break;
            }
            let _ = write!(points, "{:.1},{:.1} ", x(point.false_alarms / widest), y(point.recall));
            last = point.recall;
        }
        let _ = write!(points, "{:.1},{:.1}", x(1.0), y(last));
        let _ = writeln!(svg, r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>"#);
        let area = scores.auc().map_or_else(String::new, |area| format!(", AUC {area:.3}"));
        legend(&mut svg, index, colour, &format!("{name}{area}"));
    }
    svg.push_str("</svg>\n");
    svg
}

/// What share of the texts with a score are attacks, beside the line where the two are the same.
#[must_use]
pub fn reliability_picture(title: &str, lines: &[(&str, &Reliability)]) -> String {
    let mut svg = frame(title, "score", "share of attacks", 1.0);
    let _ = writeln!(
        svg,
        r##"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="#bbbbbb" stroke-dasharray="4 4"/>"##,
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0)
    );
    for (index, (name, reliability)) in lines.iter().enumerate() {
        let colour = COLOURS.get(index % COLOURS.len()).unwrap_or(&"#000000");
        let mut points = String::new();
        for bin in &reliability.bins {
            let (at, share) = (x(bin.score.clamp(0.0, 1.0)), bin.attacks.value().unwrap_or(0.0));
            let _ = write!(points, "{at:.1},{:.1} ", y(share));
            if let Some((low, high)) = bin.attacks.interval() {
                let (low, high) = (y(low), y(high));
                let _ = writeln!(
                    svg,
                    r#"<line x1="{at:.1}" y1="{low:.1}" x2="{at:.1}" y2="{high:.1}" stroke="{colour}" opacity="0.5"/>"#
                );
            }
        }
        let points = points.trim_end();
        let _ = writeln!(svg, r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>"#);
        legend(&mut svg, index, colour, &format!("{name}, error {:.3}", reliability.error));
    }
    svg.push_str("</svg>\n");
    svg
}

fn frame(title: &str, across: &str, up: &str, widest: f64) -> String {
    let (whole, title) = (SIDE + 2.0 * EDGE, escaped(title));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {whole}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n<rect width=\"{whole}\" height=\"{whole}\" fill=\"#ffffff\"/>\n\
         <text x=\"{EDGE}\" y=\"24\" font-size=\"14\">{title}</text>\n\
         <rect x=\"{EDGE}\" y=\"{EDGE}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#888888\"/>\n"
    );
    for fifth in 0..=5_u8 {
        let share = f64::from(fifth) / 5.0;
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            x(share),
            y(0.0) + 16.0,
            percent(share * widest)
        );
        let _ = writeln!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            EDGE - 6.0,
            y(share) + 4.0,
            percent(share)
        );
    }
    let _ = writeln!(svg, r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{across}</text>"#, x(0.5), y(0.0) + 34.0);
    let _ = writeln!(
        svg,
        r#"<text x="14" y="{:.1}" text-anchor="middle" transform="rotate(-90 14 {:.1})">{up}</text>"#,
        y(0.5),
        y(0.5)
    );
    svg
}

fn legend(svg: &mut String, index: usize, colour: &str, text: &str) {
    // A picture has few lines.
    let down = f64::from(u32::try_from(index).unwrap_or(u32::MAX)) * 16.0;
    let _ = writeln!(
        svg,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="end" fill="{colour}">{}</text>"#,
        x(1.0) - 8.0,
        y(0.0) - 10.0 - down,
        escaped(text)
    );
}

fn percent(share: f64) -> String {
    let hundred = share * 100.0;
    if hundred.fract().abs() < 1e-9 { format!("{hundred:.0} %") } else { format!("{hundred:.1} %") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn x(share: f64) -> f64 {
    EDGE + SIDE * share
}

fn y(share: f64) -> f64 {
    EDGE + SIDE * (1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_well_formed_and_tells_names_and_figures() {
        let mut scores = Scores::default();
        for n in 0..20_u8 {
            scores.add(f64::from(n) / 20.0, n > 8);
        }
        let svg = roc_picture("a <title>", &[("one & two", &scores)], 0.1);
        assert!(svg.contains("a &lt;title&gt;") && svg.contains("one &amp; two, AUC 1.000"), "{svg}");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
        let reliability = Reliability::of(&scores).unwrap();
        let svg = reliability_picture("r", &[("x", &reliability)]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("error 0."), "{svg}");
    }
}
