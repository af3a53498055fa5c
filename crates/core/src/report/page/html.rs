//! The page as one HTML file: style and script within it, nothing loaded from anywhere.

use std::fmt::Write;

use super::paint::THEME;
use super::svg::{panel, swatch};
use super::text::{escape, sentence};
use super::{Cell, Figure, Page, Row, Table};
use crate::report::Warning;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page as a self-contained HTML file.
///
/// # Examples
/// ```
/// use candor::report::page::{Page, render};
/// let page = Page { title: "<b>".to_owned(), ..Page::default() };
/// assert!(render(&page).contains("<h1>&lt;b&gt;</h1>"));
/// ```
pub fn render(page: &Page) -> String {
    let mut html = String::with_capacity(1 << 16);
    html.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    // Whatever a text might smuggle in could load nothing.
    html.push_str("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n");
    add(
        &mut html,
        format_args!(
            "<title>{}</title>\n<style>\n{}{STYLE}</style>\n</head>\n",
            escape(&page.title),
            colours()
        ),
    );
    html.push_str("<body>\n<a class=\"skip\" href=\"#verdict\">Skip to the verdict</a>\n");
    header(&mut html, page);
    html.push_str("<main>\n");
    verdict(&mut html, page);
    warnings(&mut html, &page.warnings);
    for (i, table) in page.tables.iter().enumerate() {
        section_table(&mut html, table, i);
    }
    for figure in &page.figures {
        section_figure(&mut html, figure);
    }
    configuration(&mut html, &page.configuration);
    reading(&mut html, page);
    html.push_str("</main>\n");
    add(
        &mut html,
        format_args!(
            "<footer>Written by Candor {}. This page loads nothing from the network.</footer>\n",
            env!("CARGO_PKG_VERSION")
        ),
    );
    add(&mut html, format_args!("<script>\n{SCRIPT}</script>\n</body>\n</html>\n"));
    html
}

/// Writing into a string cannot fail.
fn add(html: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = html.write_fmt(arguments);
}

/// The theme as variables: light, dark where the system asks for it, and either by choice.
fn colours() -> String {
    let list = |dark: bool| -> String {
        THEME
            .iter()
            .map(|(name, light, night)| format!("{name}:{};", if dark { night } else { light }))
            .collect()
    };
    let (light, dark) = (list(false), list(true));
    let more = "--paper:#FFFFFF;--card:#F6F8FA;--line:#DDE3E9;--good:#E4F3EC;--good-line:#00795A;--care:#FFF3E3;--care-line:#C75300;color-scheme:light;";
    let more_dark = "--paper:#12181F;--card:#1A222C;--line:#303B47;--good:#12322A;--good-line:#3FCBA0;--care:#3A2814;--care-line:#FF9A4D;color-scheme:dark;";
    format!(
        ":root{{{light}{more}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}{more_dark}}}}}\n:root[data-theme=light]{{{light}{more}}}\n:root[data-theme=dark]{{{dark}{more_dark}}}\n@media print{{:root,:root[data-theme]{{{light}{more}}}}}\n"
    )
}

fn header(html: &mut String, page: &Page) {
    add(
        html,
        format_args!(
            "<header>\n<button id=\"theme\" type=\"button\" hidden>Dark</button>\n<h1>{}</h1>\n",
            escape(&page.title)
        ),
    );
    if !page.lead.is_empty() {
        add(html, format_args!("<p class=\"lead\">{}</p>\n", escape(&page.lead)));
    }
    if !page.facts.is_empty() {
        html.push_str("<dl class=\"facts\">\n");
        pairs(html, &page.facts);
        html.push_str("</dl>\n");
    }
    html.push_str("</header>\n");
    contents(html, page);
}

fn contents(html: &mut String, page: &Page) {
    html.push_str("<nav aria-label=\"Contents\"><ul>\n");
    let mut link = |name: &str, title: &str| {
        add(html, format_args!("<li><a href=\"#{}\">{}</a></li>\n", escape(name), escape(title)));
    };
    link("verdict", "Verdict");
    if !page.warnings.is_empty() {
        link("warnings", "Warnings");
    }
    page.tables.iter().enumerate().for_each(|(i, table)| link(&format!("table-{i}"), &table.title));
    page.figures.iter().for_each(|figure| link(&figure.name, &figure.title));
    if !page.configuration.is_empty() {
        link("configuration", "Settings of the run");
    }
    link("reading", "How to read this page");
    html.push_str("</ul></nav>\n");
}

fn pairs(html: &mut String, pairs: &[(String, String)]) {
    for (name, value) in pairs {
        add(html, format_args!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value)));
    }
}

fn verdict(html: &mut String, page: &Page) {
    html.push_str(
        "<section id=\"verdict\" aria-labelledby=\"h-verdict\">\n<h2 id=\"h-verdict\">Verdict</h2>\n",
    );
    if let Some((first, rest)) = page.verdict.split_first() {
        add(html, format_args!("<p class=\"headline\">{}</p>\n", escape(first)));
        if !rest.is_empty() {
            html.push_str("<ul class=\"points\">\n");
            rest.iter().for_each(|text| add(html, format_args!("<li>{}</li>\n", escape(text))));
            html.push_str("</ul>\n");
        }
    }
    if !page.explanation.is_empty() {
        add(html, format_args!("<p class=\"note\">{}</p>\n", escape(&page.explanation)));
    }
    if let Some(recommendation) = &page.recommendation {
        match recommendation.split_once(": ") {
            Some((word, rest)) => add(
                html,
                format_args!(
                    "<p class=\"recommendation\"><strong>{}</strong> {}</p>\n",
                    escape(word),
                    escape(&sentence(rest))
                ),
            ),
            None => add(html, format_args!("<p class=\"recommendation\">{}</p>\n", escape(recommendation))),
        }
    }
    html.push_str("</section>\n");
}

fn warnings(html: &mut String, warnings: &[Warning]) {
    if warnings.is_empty() {
        return;
    }
    html.push_str("<section id=\"warnings\" aria-labelledby=\"h-warnings\">\n<h2 id=\"h-warnings\">Warnings</h2>\n<ul class=\"warnings\">\n");
    for warning in warnings {
        html.push_str("<li>");
        // What was found, and after the last colon what to do.
        match warning.message.rsplit_once(": ") {
            Some((found, remedy)) => add(
                html,
                format_args!(
                    "<p>{}.</p><p><strong>What to do:</strong> {}.</p>",
                    escape(&sentence(found)),
                    escape(remedy.trim_end_matches('.'))
                ),
            ),
            None => add(html, format_args!("<p>{}</p>", escape(&sentence(&warning.message)))),
        }
        add(html, format_args!("<p class=\"code\">{}</p></li>\n", escape(&warning.code)));
    }
    html.push_str("</ul>\n</section>\n");
}

fn section_table(html: &mut String, table: &Table, i: usize) {
    // Columns of words stand on the left, columns of numbers on the right.
    let words = |column: usize| {
        let mut cells = table.rows.iter().filter_map(|row| row.cells.get(column));
        cells.clone().any(|cell| cell.text.len() > 5) && cells.all(|cell| cell.key.is_none())
    };
    let words: Vec<bool> = (0..table.headings.len()).map(words).collect();
    let title = escape(&table.title);
    add(
        html,
        format_args!(
            "<section id=\"table-{i}\" aria-labelledby=\"h-table-{i}\">\n<h2 id=\"h-table-{i}\">{title}</h2>\n"
        ),
    );
    add(
        html,
        format_args!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}, scrolls sideways\">\n<table>\n<thead><tr>"
        ),
    );
    for (heading, words) in table.headings.iter().zip(&words) {
        let explanation = if heading.explanation.is_empty() {
            String::new()
        } else {
            format!(" title=\"{}\"", escape(&heading.explanation))
        };
        let kind = if *words { " class=\"words\"" } else { "" };
        add(html, format_args!("<th scope=\"col\"{kind}{explanation}>{}</th>", escape(&heading.name)));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    table.rows.iter().for_each(|row| table_row(html, row, &words));
    html.push_str("</tbody>\n</table>\n</div>\n");
    if !table.note.is_empty() {
        add(html, format_args!("<p class=\"note\">{}</p>\n", escape(&table.note)));
    }
    html.push_str("</section>\n");
}

fn table_row(html: &mut String, row: &Row, words: &[bool]) {
    html.push_str(if row.recommended { "<tr class=\"best\">" } else { "<tr>" });
    for (i, cell) in row.cells.iter().enumerate() {
        let Cell { text, below, key } = cell;
        let key = key.map_or(String::new(), |key| format!(" data-k=\"{key}\""));
        let below =
            if below.is_empty() { String::new() } else { format!("<small>{}</small>", escape(below)) };
        if i == 0 {
            add(html, format_args!("<th scope=\"row\"{key}>{}{below}</th>", escape(text)));
        } else {
            let kind = if words.get(i) == Some(&true) { " class=\"words\"" } else { "" };
            add(html, format_args!("<td{kind}{key}>{}{below}</td>", escape(text)));
        }
    }
    html.push_str("</tr>\n");
}

fn section_figure(html: &mut String, figure: &Figure) {
    let name = escape(&figure.name);
    add(
        html,
        format_args!(
            "<section id=\"{name}\" aria-labelledby=\"h-{name}\">\n<h2 id=\"h-{name}\">{}</h2>\n<p class=\"caption\">{}</p>\n<ul class=\"legend\" aria-label=\"Legend\">\n",
            escape(&figure.title),
            escape(&figure.caption)
        ),
    );
    for entry in &figure.legend {
        add(html, format_args!("<li>{}{}</li>\n", swatch(entry), escape(&entry.text)));
    }
    html.push_str("</ul>\n");
    // Few panels may be larger; four stand in one row.
    let few = !matches!(figure.panels.len(), 4 | 7..);
    add(html, format_args!("<div class=\"panels{}\">\n", if few { " few" } else { "" }));
    for one in &figure.panels {
        add(
            html,
            format_args!(
                "<figure>\n<figcaption>{}</figcaption>\n{}\n",
                escape(&one.title),
                panel(figure, one)
            ),
        );
        if !one.facts.is_empty() {
            html.push_str("<dl class=\"figures\">\n");
            pairs(html, &one.facts);
            html.push_str("</dl>\n");
        }
        html.push_str("</figure>\n");
    }
    html.push_str("</div>\n</section>\n");
}

fn configuration(html: &mut String, configuration: &[(String, String)]) {
    if configuration.is_empty() {
        return;
    }
    html.push_str("<section id=\"configuration\" aria-labelledby=\"h-configuration\">\n<h2 id=\"h-configuration\">Settings of the run</h2>\n<dl class=\"settings\">\n");
    pairs(html, configuration);
    html.push_str("</dl>\n</section>\n");
}

fn reading(html: &mut String, page: &Page) {
    html.push_str("<section id=\"reading\" aria-labelledby=\"h-reading\">\n<h2 id=\"h-reading\">How to read this page</h2>\n");
    for figure in &page.figures {
        add(
            html,
            format_args!(
                "<h3><a href=\"#{}\">{}</a></h3>\n<p>{}</p>\n",
                escape(&figure.name),
                escape(&figure.title),
                escape(&figure.reading)
            ),
        );
    }
    if !page.glossary.is_empty() {
        html.push_str("<h3>Words</h3>\n<dl class=\"glossary\">\n");
        let capital = |(word, meaning): &(String, String)| (word.clone(), sentence(meaning));
        pairs(html, &page.glossary.iter().map(capital).collect::<Vec<_>>());
        html.push_str("</dl>\n");
    }
    html.push_str("</section>\n");
}
