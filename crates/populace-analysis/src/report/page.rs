//! The report as one HTML file that reaches for nothing else.

use super::figure::{Report, Run};
use serde_json::Error;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// Apache ECharts 6.1.0, as published; its licence and notice lie beside it.
const LIBRARY: &str = include_str!("vendor/echarts.min.js");
const PLOTS: &str = include_str!("page/plots.js");
const PAGE: &str = include_str!("page/page.js");

/// The page of a report, and the JSON that it draws from.
///
/// # Errors
/// A number in the report is neither finite nor left out: a bug of a figure.
pub fn render(report: &Report) -> Result<(String, String), Error> {
    let json = serde_json::to_string(report)?;
    let named = |run: &Run| run.seed.as_ref().map_or_else(|| run.name.clone(), |seed| format!("{}, seed {seed}", run.name));
    let title = match &report.other {
        Some(other) => format!("{} and {} – Populace report", named(&report.run), named(other)),
        None => format!("{} – Populace report", named(&report.run)),
    };
    // One pass over the template, so that nothing that is filled in is taken for a place to fill.
    let mut page = String::with_capacity(TEMPLATE.len() + STYLE.len() + LIBRARY.len() + PLOTS.len() + PAGE.len() + json.len());
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (key, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(before);
        match key {
            "title" => page.push_str(&escape(&title)),
            "style" => page.push_str(STYLE),
            "library" => page.push_str(LIBRARY),
            "script" => {
                page.push_str(PLOTS);
                page.push_str(PAGE.trim_start_matches("'use strict';\n"));
            }
            // The only way out of a script element is its end tag, and the only way into another state is `<!--`.
            "report" => page.push_str(&json.replace('<', "\\u003c")),
            other => unreachable!("the template names {other}"),
        }
        rest = after;
    }
    page.push_str(rest);
    Ok((page, json))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
