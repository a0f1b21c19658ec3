'use strict';
// The page around the plots. It draws from the JSON that it holds and from nothing else.
// `data-drawn` and `data-errors` on the root element say how far it came: a browser test reads them.

const root = document.documentElement;
const problems = [];
const noteProblem = (problem) => {
    problems.push(String(problem && problem.message || problem));
    root.dataset.errors = JSON.stringify(problems);
};
root.dataset.errors = '[]';
addEventListener('error', (event) => noteProblem(event.error || event.message));
addEventListener('unhandledrejection', (event) => noteProblem(event.reason));
for (const level of ['error', 'warn']) {
    const original = console[level].bind(console);
    console[level] = (...parts) => { noteProblem(parts.join(' ')); original(...parts); };
}

/** An element with attributes and children. */
function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) if (value !== null && value !== undefined) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
}

const report = JSON.parse(document.getElementById('report').textContent);
const content = document.getElementById('content');
const charts = [];
let theme = readTheme();
let paper = false;

// The head.

const formats = {
    count: (value) => whole.format(value),
    share: (value) => show(value, { share: true }),
    number: (value) => plain.format(value),
};

/** A number of both runs, with their difference. */
function comparedFact(fact, unit) {
    const number = (letter, one) => make('strong', null, make('small', null, letter), formats[fact.format](one.value),
        one.standard_error === null ? null : make('small', null, `± ${formats[fact.format](one.standard_error)}`), unit);
    const difference = fact.other.value - fact.value;
    const z = fact.other.z === null ? '' : `, ${Math.abs(fact.other.z).toFixed(1)} standard errors`;
    return make('li', null, number('A', fact), number('B', fact.other), make('span', null, fact.name),
        make('span', { class: 'quiet' }, `B − A: ${difference < 0 ? '−' : '+'}${formats[fact.format](Math.abs(difference))}${unit}${z}`));
}

const named = (run) => run.seed ? `${run.name}, seed ${run.seed}` : run.name;

function head() {
    const run = report.run;
    const of = [];
    const say = (name, value) => { if (value) of.push(make('li', null, name + ' ', make('b', null, value))); };
    for (const [letter, run] of report.other ? [['A: ', report.run], ['B: ', report.other]] : [['', report.run]]) {
        say(letter + 'Scenario', run.name + (run.name === run.family ? '' : ` (${run.family})`));
        say('Seed', run.seed);
        say('Users', run.users === null ? null : whole.format(run.users));
        if (run.tables.length) say('Rows', whole.format(run.tables.reduce((sum, table) => sum + (table.name.startsWith('truth/') ? 0 : table.rows), 0)));
        if (run.window) say('Window', `${whole.format(run.window.days)} days from ${run.window.start}`);
        if (run.scenario_digest) of.push(make('li', null, 'Scenario digest ', make('code', { title: run.scenario_digest }, run.scenario_digest.slice(0, 16) + '…')));
    }
    const facts = report.facts.map((fact) => {
        const unit = fact.unit ? ' ' + fact.unit : '';
        const expected = fact.expected === null ? null : make('span', { class: 'quiet' }, `expected ${formats[fact.format](fact.expected)}${unit}`);
        if (fact.other) return comparedFact(fact, unit);
        const error = fact.standard_error === null ? null : make('small', null, ` ± ${formats[fact.format](fact.standard_error)}`);
        return make('li', null, make('strong', null, formats[fact.format](fact.value), error, unit), make('span', null, fact.name), expected);
    });
    document.getElementById('head').append(...[
        make('h1', null, report.other ? `A: ${named(run)} – B: ${named(report.other)}` : named(run)),
        run.description && !report.other ? make('p', { class: 'lead' }, run.description) : null,
        make('ul', { class: 'of' }, ...of),
        facts.length ? make('ul', { class: 'facts', 'aria-label': 'The run at a glance' }, ...facts) : null,
        report.facts.some((fact) => fact.standard_error !== null) ? make('p', { class: 'spread' }, '± is one standard error of the number, over recipients, sessions or users.') : null,
    ].filter(Boolean));
    if (report.notes.length) {
        content.append(make('div', { class: 'notes' }, make('ul', null, ...report.notes.map((note) => make('li', null, note)))));
    }
}

// Verdicts.

const words = { pass: '✓ passed', fail: '✗ failed', skip: '– skipped' };
const badge = (verdict) => make('span', { class: 'verdict ' + verdict }, words[verdict]);

function verdicts() {
    const found = report.verdicts;
    if (!found) return;
    const item = (check) => make('li', null, make('span', null, badge(check.verdict)),
        make('span', { class: 'what' }, `${check.group}: ${check.name}`), make('span', { class: 'detail' }, check.detail));
    const failed = found.checks.filter((check) => check.verdict === 'fail');
    const others = found.checks.filter((check) => check.verdict !== 'fail');
    const total = found.passed + found.failed;
    const summary = found.failed === 0
        ? `All ${whole.format(total)} checks of the data against the scenario passed.`
        : `${whole.format(found.failed)} of ${whole.format(total)} checks of the data against the scenario failed.`;
    const skipped = found.skipped ? ` ${whole.format(found.skipped)} could not be made.` : '';
    const card = make('div', { class: 'card' },
        make('p', { class: 'summary' }, badge(found.failed ? 'fail' : 'pass'), make('span', null, summary + skipped)));
    if (failed.length) card.append(make('ul', { class: 'checks' }, ...failed.map(item)));
    if (others.length) {
        card.append(make('details', null, make('summary', null, `The ${whole.format(others.length)} ${failed.length ? 'other ' : ''}checks`),
            make('ul', { class: 'checks' }, ...others.map(item))));
    }
    content.append(make('section', { id: 'verdicts' }, make('h2', null, 'Does the data follow the scenario?'), card));
}

// Scores.

function scores() {
    if (!report.scores.length) return;
    const cards = report.scores.map((score) => {
        const bars = score.metrics.flatMap((metric) => [['of what the data allows', metric.attained_observable], ['of what the truth allows', metric.attained_latent]]
            .filter(([, attained]) => attained !== null).map(([of, attained]) => {
                const share = Math.min(Math.max(attained, 0), 1);
                return make('li', null, make('span', null, `${metric.name}, ${of}`), make('span', { class: 'bar', 'aria-hidden': 'true' }, make('i', { style: `width:${(100 * share).toFixed(1)}%` })),
                    make('span', { class: 'share' }, show(attained, { share: true })));
            }));
        const number = (value) => make('td', null, value === null ? '–' : plain.format(value));
        const rows = score.metrics.map((metric) => make('tr', null, make('td', { title: metric.meaning }, metric.name), number(metric.base), number(metric.model),
            number(metric.observable), number(metric.latent)));
        const heads = ['metric', 'base line', 'model', 'best from the data', 'everything known'];
        const label = score.label.replaceAll('`', '').replace(/\.?$/, '.');
        const figures = score.figures.map(figure);
        return make('div', { class: 'card' },
            make('h3', null, `${score.task}: ${score.file}`),
            make('p', { class: 'lead' }, `${label[0].toUpperCase()}${label.slice(1)} ${whole.format(score.n)} predictions.${bars.length ? ' The bars show how much of the gain over the base line that can be had the model has.' : ''}`),
            make('div', { class: figures.length ? 'sides' : null }, make('div', null,
                bars.length ? make('ul', { class: 'attained' }, ...bars) : null,
                make('div', { class: 'scroll', tabindex: '0' }, make('table', null, make('thead', null, make('tr', null, ...heads.map((name) => make('th', { scope: 'col' }, name)))),
                make('tbody', null, ...rows)))), ...figures),
            score.notes.length ? make('div', { class: 'notes' }, make('ul', null, ...score.notes.map((note) => make('li', null, note)))) : null);
    });
    content.append(make('section', { id: 'scores' }, make('h2', null, 'Scores and their ceilings'), make('div', { class: 'scores' }, ...cards)));
}

// Figures.

function swatch(role, draw, band) {
    const color = `var(--${role === 'good' ? 'third' : role})`;
    const shapes = {
        bars: `<rect x="2" y="2" width="16" height="10" rx="2" fill="${color}"/>`,
        outline: `<rect x="2" y="3" width="16" height="8" rx="2" fill="none" stroke="${color}" stroke-width="1.5"/>`,
        points: `<circle cx="10" cy="7" r="4" fill="${color}"/>`,
        ticks: `<rect x="8.5" y="0" width="3" height="14" fill="${color}"/>`,
        dashed: `<path d="M0 7h20" stroke="${color}" stroke-width="2.5" stroke-dasharray="5 3"/>`,
        text: `<text x="10" y="11.5" text-anchor="middle" font-size="12" font-weight="700" fill="${color}">55</text>`,
    };
    const back = band && !['bars', 'points', 'ticks'].includes(draw) ? `<rect width="20" height="14" fill="${color}" opacity=".2"/>` : '';
    const span = make('span', { 'aria-hidden': 'true' });
    span.innerHTML = `<svg width="20" height="14" viewBox="0 0 20 14">${back}${shapes[draw] ?? `<path d="M0 7h20" stroke="${color}" stroke-width="2.5"/>`}</svg>`;
    return span;
}

function legend(plot) {
    const entries = legendOf(plot).map(([name, role, draw, band]) => make('li', null, swatch(role, draw, band), name));
    const bands = plot.kind === 'chart' && plot.series.some((one) => one.low);
    if (bands) entries.push(make('li', { class: 'quiet' }, plot.series.some((one) => one.low && ['bars', 'points'].includes(one.draw)) ? 'thin lines: 95% interval' : 'shaded: 95% interval'));
    return entries.length ? make('ul', { class: 'legend' }, ...entries) : null;
}

/** The data of a plot as a table; none where it is too long to read. */
function dataTable(plot) {
    const cells = (rows) => rows.map((row) => make('tr', null, ...row.map((cell) => make('td', null, cell))));
    const table = (heads, rows) => make('div', { class: 'scroll', tabindex: '0' },
        make('table', null, make('thead', null, make('tr', null, ...heads.map((name) => make('th', { scope: 'col' }, name)))), make('tbody', null, ...cells(rows))));
    if (plot.kind === 'chart') {
        const value = (one, at) => {
            if (at < 0 || at >= one.y.length) return '';
            const band = one.low && one.low[at] !== null ? ` (${show(one.low[at], plot.y)} to ${show(one.high[at], plot.y)})` : '';
            return show(one.y[at], plot.y) + band;
        };
        if (plot.diagonal || plot.series.some((one) => one.names)) {
            const one = plot.series.find((series) => series.names) ?? plot.series[0];
            return table(['', axisName(plot.x), axisName(plot.y), 'n'], one.y.map((_, at) =>
                [one.names ? one.names[at] : '', show(one.x[at], plot.x), value(one, at), one.n ? whole.format(one.n[at]) : '']));
        }
        const heads = [plot.x.label, ...plot.series.map((one) => one.name), ...(plot.series.some((one) => one.n) ? ['n'] : [])];
        const counted = plot.series.find((one) => one.n);
        const categories = plot.x.categories.length > 0;
        const places = categories ? plot.x.categories.map((_, at) => at) : [...new Set(plot.series.flatMap((one) => one.x))].sort((a, b) => a - b);
        if (places.length > 400) return null;
        return table(heads, places.map((place) => {
            const at = (one) => categories ? place : one.x.indexOf(place);
            const count = counted ? [at(counted) < 0 ? '' : whole.format(counted.n[at(counted)])] : [];
            return [placeName(plot.x, place), ...plot.series.map((one) => value(one, at(one))), ...count];
        }));
    }
    if (plot.kind === 'graph') {
        return table(['from', 'to', 'true', 'learned', 'standard error', 'n'], plot.edges.map((edge) => [plot.nodes[edge.from].name, plot.nodes[edge.to].name,
            show(edge.true, { share: true }), show(edge.learned, { share: true }), show(edge.standard_error, { share: true }), whole.format(edge.n)]));
    }
    if (plot.kind === 'boxes') {
        const five = (values) => values ? values.map((value) => show(value, plot.y)).join(', ') : '–';
        return table([plot.x.label, 'observed: 5, 25, 50, 75, 95%', 'true', 'n'], plot.x.categories.map((name, at) =>
            [name, five(plot.observed[at]), five(plot.truth[at]), whole.format(plot.n[at])]));
    }
    if (plot.kind === 'spans') {
        return table(['', 'what', 'from', 'to'], plot.spans.map((span) => [plot.lanes[span.lane], span.label, show(span.start, plot.x), show(span.end, plot.x)]));
    }
    return null;
}

function figure(one) {
    const holder = make('div', { class: 'plot', role: 'img', 'aria-label': `${one.title}. ${one.caption}` });
    const around = make('div', { class: 'around' });
    const data = make('details', null, make('summary', null, 'Data'));
    const chart = { holder, plot: one.panels[0].plot, instance: null, drawn: false, width: 0 };
    const dress = () => {
        around.replaceChildren(...[legend(chart.plot)].filter(Boolean));
        const up = chart.plot.kind === 'chart' && !chart.plot.horizontal ? chart.plot.y : null;
        if (up) around.append(make('p', { class: 'up' }, axisName(up)));
        data.querySelector('.scroll, p')?.remove();
        if (data.open) fill();
    };
    const fill = () => {
        if (data.querySelector('.scroll, p')) return;
        data.append(dataTable(chart.plot) ?? make('p', null, 'Too long for a table: the values are in report.json.'));
    };
    data.addEventListener('toggle', () => { if (data.open) fill(); });
    let choice = null;
    if (one.panels.length > 1) {
        const select = make('select', { id: one.id + '-choice' }, ...one.panels.map((panel, index) => make('option', { value: index }, panel.name)));
        select.addEventListener('change', () => {
            chart.plot = one.panels[Number(select.value)].plot;
            dress();
            draw([chart]);
        });
        choice = make('div', { class: 'choice' }, make('label', { for: one.id + '-choice' }, one.choice), select);
    }
    dress();
    charts.push(chart);
    return make('figure', { id: one.id, class: one.wide ? 'wide' : null },
        make('figcaption', null, make('h3', null, one.title), make('p', null, one.caption)), choice, around, holder, data);
}

function sections() {
    for (const section of report.sections) {
        content.append(make('section', { id: section.id }, make('h2', null, section.title), section.text ? make('p', { class: 'lead' }, section.text) : null,
            make('div', { class: 'figures' }, ...section.figures.map(figure))));
    }
}

// Drawing.

/** Draws figures anew. A plot beside a taller one grows with it, so heights are taken once all have room. */
function draw(some) {
    for (const chart of some) {
        chart.instance?.dispose();
        chart.width = chart.holder.clientWidth;
        chart.holder.style.minHeight = heightOf(chart.plot, isNarrow(chart.plot, chart.width)) + 'px';
    }
    const heights = some.map((chart) => chart.holder.clientHeight);
    some.forEach((chart, index) => drawOne(chart, chart.width, heights[index]));
}

function drawOne(chart, width, height) {
    try {
        // Maps have thousands of cells, which a canvas draws at once; all else stays sharp at any size, and paper does not wait for a canvas.
        const renderer = chart.plot.kind === 'heat' && !paper ? 'canvas' : 'svg';
        chart.instance = echarts.init(chart.holder, null, { renderer, width, height });
        const { option, listen } = drawing(chart.plot, theme, width, height);
        chart.instance.on('finished', () => {
            chart.drawn = isDrawn(chart);
            tell();
        });
        chart.instance.setOption(option);
        listen?.(chart.instance);
    } catch (problem) {
        noteProblem(problem);
        throw problem;
    }
}

/** Whether something stands on the canvas or in the SVG. */
function isDrawn(chart) {
    const canvas = chart.holder.querySelector('canvas');
    if (!canvas) return chart.holder.querySelectorAll('svg path, svg circle, svg rect').length > 3;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let seen = 0;
    for (let at = 3; at < pixels.length; at += 4 * 97) seen += pixels[at] > 0;
    return seen > 20;
}

function tell() {
    root.dataset.drawn = `${charts.filter((chart) => chart.drawn).length}/${charts.length}`;
}

function nav() {
    const places = [];
    if (report.verdicts) places.push(['verdicts', 'Verdicts']);
    if (report.scores.length) places.push(['scores', 'Scores']);
    for (const section of report.sections) places.push([section.id, section.title]);
    places.push(['foot', 'Tables']);
    const links = new Map(places.map(([id, title]) => [id, make('a', { href: '#' + id }, title)]));
    document.getElementById('nav').append(make('ul', null, ...[...links.values()].map((link) => make('li', null, link))));
    const seen = new IntersectionObserver((entries) => {
        for (const entry of entries.filter((entry) => entry.isIntersecting)) {
            for (const link of links.values()) link.removeAttribute('aria-current');
            links.get(entry.target.id)?.setAttribute('aria-current', 'true');
        }
    }, { rootMargin: '-20% 0px -70% 0px' });
    for (const id of links.keys()) seen.observe(document.getElementById(id));
}

function foot() {
    const run = report.run;
    const rows = run.tables.map((table) => make('tr', null, make('td', null, table.name), make('td', null, whole.format(table.rows)), make('td', { class: 'left' }, make('code', null, table.digest))));
    const clipped = run.clipped.map(([what, count]) => make('li', null, `${what} ${what === 'p_open' ? 'capped at max_probability' : 'set to its bound'} ${whole.format(count)} times (by design)`));
    const warnings = run.warnings.map((warning) => make('li', null, warning));
    document.getElementById('foot').append(...[
        rows.length ? make('h2', null, 'Tables of the run') : null,
        rows.length ? make('div', { class: 'scroll card', tabindex: '0' }, make('table', null,
            make('thead', null, make('tr', null, make('th', { scope: 'col' }, 'table'), make('th', { scope: 'col' }, 'rows'), make('th', { scope: 'col', class: 'left' }, 'digest of its values'))),
            make('tbody', null, ...rows))) : null,
        clipped.length + warnings.length ? make('ul', null, ...clipped, ...warnings) : null,
        run.scenario_digest ? make('p', null, 'Scenario digest ', make('code', null, run.scenario_digest)) : null,
        make('p', null, 'Made by Populace', run.engine_version ? ` from a run of version ${run.engine_version}` : '',
            '. The figures are in report.json too. Plots by Apache ECharts, under the Apache License 2.0.'),
    ].filter(Boolean));
}

head();
verdicts();
scores();
sections();
foot();
nav();
draw(charts);
tell();

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    theme = readTheme();
    draw(charts);
});
// Paper has a width of its own, at which plots are drawn for it.
for (const event of ['beforeprint', 'afterprint']) {
    addEventListener(event, () => {
        paper = event === 'beforeprint';
        document.body.style.width = paper ? '18cm' : '';
        draw(charts);
    });
}
let waiting = null;
addEventListener('resize', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => draw(charts.filter((chart) => chart.holder.clientWidth !== chart.width)), 120);
});
