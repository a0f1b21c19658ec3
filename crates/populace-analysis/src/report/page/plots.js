'use strict';
// From a plot, as report.json has it, to what the plotting library draws. Nothing here knows what is plotted.

const NARROW = 560;

/** The colours of the page, read from its style. */
function readTheme() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue('--' + name).trim();
    const theme = { heat: get('heat').split(',').map((color) => color.trim()) };
    for (const name of ['page', 'card', 'ink', 'muted', 'faint', 'line', 'bad', 'observed', 'second', 'third', 'truth', 'estimate',
        'reference', 'slow', 'timeout', 'refused']) theme[name] = get(name);
    theme.good = theme.third;
    return theme;
}

const plain = new Intl.NumberFormat('en', { maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** A number for people. */
function show(value, axis) {
    if (value === null || value === undefined) return '–';
    if (axis && axis.share) return (100 * value).toFixed(Math.abs(value) < .0995 && value !== 0 ? 2 : 1) + '%';
    const text = Number.isInteger(value) ? whole.format(value) : plain.format(value);
    return axis && axis.unit && axis.unit !== '%' ? text + (/^[a-z]/i.test(axis.unit) ? ' ' : '') + axis.unit : text;
}

/** The name of an axis with its unit. */
function axisName(axis) {
    const unit = axis.share ? '%' : axis.unit;
    return unit ? `${axis.label} (${unit})` : axis.label;
}

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeText = (text) => String(text).replace(/[&<>"]/g, (letter) => escapes[letter]);

/** What stands at a place of an axis. */
function placeName(axis, at) {
    if (!axis.categories.length) return show(at, axis);
    const group = axis.groups.length ? axis.groups[Math.floor(at / (axis.categories.length / axis.groups.length))] + ' ' : '';
    return group + axis.categories[at];
}

function tip(title, rows) {
    const row = ([color, name, value, more]) =>
        `<div class="row"><i style="background:${color}"></i>${escapeText(name)}&nbsp; <b>${escapeText(value)}</b>` +
        (more ? ` <span>${escapeText(more)}</span>` : '') + '</div>';
    return `<div class="tip"><b>${escapeText(title)}</b>${rows.map(row).join('')}</div>`;
}

const font = () => getComputedStyle(document.body).fontFamily;

function base(theme, tooltip) {
    return {
        animation: false,
        textStyle: { fontFamily: font() },
        tooltip: {
            confine: true, backgroundColor: theme.card, borderColor: theme.line, borderWidth: 1, padding: [8, 10],
            textStyle: { color: theme.ink, fontSize: 13 }, extraCssText: 'box-shadow:0 2px 10px rgb(0 0 0/15%);', ...tooltip,
        },
    };
}

const axisText = (theme, narrow) => ({ color: theme.muted, fontSize: narrow ? 11 : 12, hideOverlap: true });

/** An axis that ends between two numbers has no label there. */
const ends = (axis) => ({
    ...(Number.isInteger(axis.min ?? 0) ? {} : { showMinLabel: false }), ...(axis.share || Number.isInteger(axis.max ?? 0) ? {} : { showMaxLabel: false }),
});

/** The options of a numeric axis or one of categories. */
function axisOption(axis, theme, narrow, more) {
    const categories = axis.categories.length > 0;
    const size = axis.groups.length ? axis.categories.length / axis.groups.length : 0;
    // Each group has its name under its middle, and every sixth category its own where there is room.
    const middle = Math.floor(size / 2);
    const grouped = size > 0 && {
        axisLabel: {
            ...axisText(theme, narrow), hideOverlap: false, align: 'center', lineHeight: 14,
            interval: (at) => at % size === middle || (!narrow && at % 6 === 0),
            formatter: (name, at) => (narrow ? '' : name.slice(0, 2) + '\n') + (at % size === middle ? axis.groups[Math.floor(at / size)] : ''),
        },
        axisTick: { show: true, interval: (at) => at % size === 0, lineStyle: { color: theme.faint } },
    };
    const whole01 = axis.share && axis.min === 0 && axis.max === 1;
    return {
        type: categories ? 'category' : axis.log ? 'log' : 'value',
        ...(categories ? { data: axis.categories } : { min: axis.min ?? undefined, max: axis.max ?? undefined, scale: axis.min === null }),
        axisLine: { show: categories, lineStyle: { color: theme.faint } },
        axisTick: { show: false },
        axisLabel: { ...axisText(theme, narrow), ...ends(axis), formatter: categories ? undefined : (value) => axis.share ? plain.format(100 * value) + '%' : show(value) },
        splitLine: { show: !categories, lineStyle: { color: theme.line } },
        splitNumber: narrow ? 4 : 6,
        ...(whole01 ? { interval: .2 } : {}),
        ...grouped,
        ...more,
    };
}

const nameBelow = (axis, theme, gap) =>
    ({ name: axisName(axis), nameLocation: 'middle', nameGap: gap, nameTextStyle: { color: theme.muted, fontSize: 12 } });

const gridWithin = (more) => ({ left: 4, right: 14, top: 10, bottom: 4, outerBoundsMode: 'same', outerBoundsContain: 'all', ...more });

// Lines, points, bars.

function chartOption(plot, theme, narrow) {
    const categories = plot.x.categories.length > 0;
    const place = (series, index) => categories ? index : series.x[index];
    const points = (series, values) => values.map((value, index) => {
        const at = place(series, index);
        return plot.horizontal ? [value, at] : [at, value];
    });
    const series = [];
    if (plot.diagonal) {
        const [low, high] = [Math.max(plot.x.min ?? 0, plot.y.min ?? 0), Math.min(plot.x.max ?? 1, plot.y.max ?? 1)];
        series.push({ id: 'diagonal', type: 'line', data: [[low, low], [high, high]], symbol: 'none', silent: true,
            lineStyle: { color: theme.truth, width: 1.5 }, tooltip: { show: false } });
    }
    plot.series.forEach((one, index) => {
        const color = theme[one.role];
        if (one.low && (one.draw === 'line' || one.draw === 'dashed' || one.draw === 'step')) series.push(bandSeries(one, index, place, color));
        series.push(drawnSeries(plot, one, index, points(one, one.y), color, theme));
        if (one.low && (one.draw === 'points' || one.draw === 'bars')) series.push(whiskerSeries(plot, one, index, place, color, theme));
    });
    const marks = marksOf(plot, theme);
    if (marks) series.push(marks);

    const across = axisOption(plot.x, theme, narrow, {
        ...(plot.horizontal ? { inverse: true } : nameBelow(plot.x, theme, 26)),
        ...(categories ? { axisTick: { show: false } } : { boundaryGap: false }),
    });
    if (plot.horizontal) across.axisLabel = { ...across.axisLabel, interval: 0 };
    const up = axisOption(plot.y, theme, narrow, plot.horizontal ? nameBelow(plot.y, theme, 26) : { axisLine: { show: false } });
    const lookUp = (id) => plot.series[Number(id.slice(1))];
    const row = (one, index) => {
        const band = one.low && one.low[index] !== null ? `${show(one.low[index], plot.y)} to ${show(one.high[index], plot.y)}` : '';
        const count = one.n ? `n = ${whole.format(one.n[index])}` : '';
        return [theme[one.role], one.name, show(one.y[index], plot.y), [band, count].filter(Boolean).join(', ')];
    };
    const byItem = plot.diagonal;
    return {
        ...base(theme, {
            trigger: byItem ? 'item' : 'axis',
            axisPointer: { type: plot.series.some((one) => one.draw === 'bars') ? 'shadow' : 'line', lineStyle: { color: theme.faint },
                shadowStyle: { color: theme.line, opacity: .35 } },
            formatter: (found) => {
                const items = (Array.isArray(found) ? found : [found]).filter((item) => /^s\d+$/.test(item.seriesId));
                if (!items.length) return '';
                const one = lookUp(items[0].seriesId);
                const at = place(one, items[0].dataIndex);
                const where = categories ? placeName(plot.x, at) : `${plot.x.label} ${show(at, plot.x)}`;
                const title = one.names ? `${one.names[items[0].dataIndex]}: ${where}` : where;
                return tip(title, items.map((item) => row(lookUp(item.seriesId), item.dataIndex)));
            },
        }),
        grid: gridWithin({ top: plot.marks.some((mark) => mark.to === null) ? 24 : 10 }),
        xAxis: plot.horizontal ? up : across,
        yAxis: plot.horizontal ? across : up,
        series,
    };
}

function drawnSeries(plot, one, index, data, color, theme) {
    const common = { id: 's' + index, name: one.name, data, z: 3 + index };
    switch (one.draw) {
        case 'bars':
            return { ...common, type: 'bar', itemStyle: { color, borderRadius: plot.stacked ? 0 : 2 },
                ...(plot.stacked ? { stack: 'all' } : { barGap: '-100%' }), barCategoryGap: data.length > 30 ? '15%' : '28%', barMaxWidth: 56 };
        case 'points':
            return { ...common, type: 'scatter', symbolSize: 7, itemStyle: { color, borderColor: theme.card, borderWidth: 1 } };
        case 'ticks':
            return { ...common, type: 'custom', z: 20, renderItem: tickOf(plot, color), encode: plot.horizontal ? { x: 0, y: 1 } : { x: 0, y: 1 } };
        default:
            return { ...common, type: 'line', symbol: 'none', connectNulls: false, step: one.draw === 'step' ? 'end' : false,
                lineStyle: { color, width: 2, type: one.draw === 'dashed' ? [5, 4] : 'solid' }, itemStyle: { color }, emphasis: { disabled: true } };
    }
}

/** A short line across a bar. */
function tickOf(plot, color) {
    return (_, api) => {
        const value = api.value(plot.horizontal ? 0 : 1);
        if (value === null || Number.isNaN(value)) return null;
        const [x, y] = api.coord([api.value(0), api.value(1)]);
        const size = api.size([1, 1]);
        const half = Math.min(plot.horizontal ? size[1] : size[0], 60) * .42;
        const shape = plot.horizontal ? { x1: x, x2: x, y1: y - half, y2: y + half } : { x1: x - half, x2: x + half, y1: y, y2: y };
        return { type: 'line', shape, style: { stroke: color, lineWidth: 2.5 } };
    };
}

/** The 95% band of a line: a polygon for each stretch without gaps. */
function bandSeries(one, index, place, color) {
    const data = one.y.map((_, at) => [place(one, at), one.low[at], one.high[at]]);
    const holds = (at) => one.low[at] !== null && one.high[at] !== null;
    return {
        id: 'band' + index, type: 'custom', data, silent: true, z: 2, clip: true, encode: { x: 0, y: [1, 2] }, tooltip: { show: false },
        renderItem: (params, api) => {
            const at = params.dataIndex;
            if (!holds(at) || (at > 0 && holds(at - 1))) return null;
            const upper = [];
            const lower = [];
            for (let next = at; next < data.length && holds(next); next++) {
                upper.push(api.coord([data[next][0], data[next][2]]));
                lower.unshift(api.coord([data[next][0], data[next][1]]));
                if (one.draw === 'step' && next + 1 < data.length && holds(next + 1)) {
                    upper.push(api.coord([data[next + 1][0], data[next][2]]));
                    lower.unshift(api.coord([data[next + 1][0], data[next][1]]));
                }
            }
            return { type: 'polygon', shape: { points: upper.concat(lower) }, style: { fill: color, opacity: .18 } };
        },
    };
}

/** The 95% intervals of points or bars. */
function whiskerSeries(plot, one, index, place, color, theme) {
    const data = one.y.map((_, at) => [place(one, at), one.low[at], one.high[at]]);
    const stroke = one.draw === 'bars' ? theme.ink : color;
    return {
        id: 'whisker' + index, type: 'custom', data, silent: true, z: one.draw === 'bars' ? 15 : 2, clip: true, tooltip: { show: false },
        encode: plot.horizontal ? { y: 0, x: [1, 2] } : { x: 0, y: [1, 2] },
        renderItem: (_, api) => {
            const [at, low, high] = [api.value(0), api.value(1), api.value(2)];
            if (low === null || Number.isNaN(low)) return null;
            const [a, b] = plot.horizontal ? [api.coord([low, at]), api.coord([high, at])] : [api.coord([at, low]), api.coord([at, high])];
            return { type: 'line', shape: { x1: a[0], y1: a[1], x2: b[0], y2: b[1] }, style: { stroke, lineWidth: 1.5, opacity: .75 } };
        },
    };
}

function marksOf(plot, theme) {
    if (!plot.marks.length) return null;
    const label = { color: theme.muted, fontSize: 11 };
    const lines = plot.marks.filter((mark) => mark.to === null);
    const spans = plot.marks.filter((mark) => mark.to !== null);
    return {
        id: 'marks', type: 'line', data: [], silent: true, tooltip: { show: false },
        markLine: {
            symbol: 'none', silent: true, animation: false, lineStyle: { color: theme.faint, type: [3, 3], width: 1 },
            data: lines.map((mark) => ({ xAxis: mark.from, label: { ...label, formatter: mark.label, position: plot.horizontal ? 'start' : 'end', rotate: 0 } })),
        },
        markArea: {
            silent: true, animation: false, itemStyle: { color: theme.slow, opacity: .12 },
            data: spans.map((mark) => [
                { xAxis: mark.from, name: mark.label, label: { ...label, position: 'insideTop' } }, { xAxis: mark.to },
            ]),
        },
    };
}

// Maps of values.

// The ends of a scale, the place of a value on it, and how both are written: colours diverge from the middle.
const multiple = (value) => (value < .1 ? value.toFixed(2) : plain.format(value)) + '×';
const SCALES = {
    multiple: { end: 3, place: (value) => Math.log2(Math.max(value, 1e-3)), show: multiple, ends: ['⅛× the mean or less', '8× the mean or more'], short: ['⅛×', '8×'] },
    standard_errors: { end: 4, place: (value) => value, show: (value) => value.toFixed(1) + ' standard errors', ends: ['−4 standard errors', '+4 standard errors'], short: ['−4 se', '+4 se'] },
};

function heatOption(plot, theme, narrow, height) {
    const [head, gap] = [24, narrow ? 58 : 70];
    const each = height / plot.maps.length;
    const left = Math.min(narrow ? 100 : 150, 14 + Math.max(...plot.y.categories.map((name) => name.length)) * (narrow ? 5.6 : 6.8));
    const titles = plot.maps.map((map, index) => ({
        text: map.name, left: 0, top: index * each + 4, padding: 0, textStyle: { color: theme.ink, fontSize: 13, fontWeight: 600 },
    }));
    const grid = plot.maps.map((_, index) => ({ left, right: 6, top: index * each + head, height: each - head - gap, outerBoundsMode: 'none' }));
    const data = (map) => map.rows.flatMap((row, y) => row.map((value, x) => (value === null ? [x, y, '-', '-'] : [x, y, SCALES[map.scale].place(value), value])));
    return {
        ...base(theme, {
            formatter: (item) => {
                const [x, y, , value] = item.value;
                const map = plot.maps[item.seriesIndex];
                const shown = value === '-' ? 'no data' : SCALES[map.scale].show(value);
                return tip(`${plot.y.categories[y]}, ${placeName(plot.x, x)}`, [[item.color, map.name + ':', shown]]);
            },
        }),
        title: titles,
        grid,
        xAxis: plot.maps.map((_, index) => axisOption(plot.x, theme, narrow, { gridIndex: index, splitArea: { show: false }, splitLine: { show: false } })),
        yAxis: plot.maps.map((_, index) => axisOption(plot.y, theme, narrow, {
            gridIndex: index, inverse: true, axisLine: { show: false }, axisLabel: { ...axisText(theme, narrow), interval: 0, width: left - 8, overflow: 'truncate', fontSize: narrow ? 10 : 12 },
        })),
        visualMap: plot.maps.map((map, index) => {
            const scale = SCALES[map.scale];
            return {
                type: 'continuous', seriesIndex: index, dimension: 2, min: -scale.end, max: scale.end, calculable: false, orient: 'horizontal',
                left, top: (index + 1) * each - 36, itemWidth: 10, itemHeight: narrow ? 90 : 160, textGap: 8,
                textStyle: { color: theme.muted, fontSize: 11 }, text: [...(narrow ? scale.short : scale.ends)].reverse(), inRange: { color: theme.heat },
            };
        }),
        series: plot.maps.map((map, index) => ({
            type: 'heatmap', xAxisIndex: index, yAxisIndex: index, data: data(map), progressive: 0,
            emphasis: { itemStyle: { borderColor: theme.ink, borderWidth: 1 } },
        })),
    };
}

// States and transitions.

function graphOption(plot, theme, narrow, height, width) {
    const layers = Math.max(...plot.nodes.map((node) => node.layer), 1);
    const reach = Math.max(...plot.nodes.map((node) => Math.abs(node.place)), .5);
    const most = Math.max(...plot.nodes.map((node) => node.visits), 1);
    const flow = Math.max(...plot.edges.map((edge) => edge.n), 1);
    // Layers run across, and down where the page is narrow.
    const [marginAcross, marginDown] = [70, 34];
    const at = (node) => {
        const along = node.layer / layers;
        if (!narrow) return [marginAcross + along * (width - 2 * marginAcross), marginDown + (.5 + node.place / (2 * reach)) * (height - 2 * marginDown - 12)];
        // A layer takes the whole width, and its states stand high and low in turn, so that their names have room.
        const row = plot.nodes.filter((other) => other.layer === node.layer).sort((a, b) => a.place - b.place);
        const index = row.indexOf(node);
        const shift = row.length < 3 ? 0 : index % 2 ? 20 : -16;
        return [width * (index + .5) / row.length, 34 + along * (height - 92) + shift];
    };
    const radius = (node) => (narrow ? 6 : 8) + (narrow ? 8 : 14) * Math.sqrt(node.visits / most);
    const short = (name) => (name.replace(/^\/api\//, '').replace(/^\//, '') || name).replaceAll('{id}', narrow ? '…' : '{id}');
    const off = (edge) => edge.true === null || edge.standard_error === 0 ? 0 : Math.abs(edge.learned - edge.true) / edge.standard_error;
    const places = plot.nodes.map(at);
    const state = { focus: null };

    const curve = (edge) => {
        const [a, b] = [places[edge.from], places[edge.to]];
        const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
        const length = Math.hypot(dx, dy) || 1;
        const bend = .16 * length + 6;
        const control = [(a[0] + b[0]) / 2 + bend * dy / length, (a[1] + b[1]) / 2 - bend * dx / length];
        const cut = (from, by) => {
            const far = Math.hypot(control[0] - from[0], control[1] - from[1]) || 1;
            return [from[0] + (control[0] - from[0]) * by / far, from[1] + (control[1] - from[1]) * by / far];
        };
        const start = cut(a, radius(plot.nodes[edge.from]) + 1);
        const end = cut(b, radius(plot.nodes[edge.to]) + 6);
        return { start, control, end };
    };
    // Labels stand where they cover neither an endpoint nor one another; those that find no place are shown when one points there.
    const labels = new Map();
    const taken = plot.nodes.flatMap((node, index) => {
        const [x, y] = places[index];
        const [r, half] = [radius(node), short(node.name).length * (narrow ? 2.9 : 3.6)];
        return [[x - r, y - r, x + r, y + r], [x - half, y + r + 1, x + half, y + r + 18]];
    });
    const along = ({ start, control, end }, t) => [0, 1].map((axis) => (1 - t) ** 2 * start[axis] + 2 * t * (1 - t) * control[axis] + t ** 2 * end[axis]);
    if (!narrow) {
        const order = plot.edges.map((_, index) => index).filter((index) => plot.edges[index].n >= .02 * flow).sort((a, b) => plot.edges[b].n - plot.edges[a].n);
        for (const index of order) {
            const way = curve(plot.edges[index]);
            for (const t of [.45, .55, .36, .64, .28, .72]) {
                const [x, y] = along(way, t);
                const box = [x - 22, y - 8, x + 22, y + 8];
                if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
                taken.push(box);
                labels.set(index, [x, y]);
                break;
            }
        }
    }
    const edgeLabel = (edge, [x, y]) => {
        const learned = (100 * edge.learned).toFixed(0);
        const part = (text, fill, align, shift) => ({ type: 'text', silent: true, style: { x: x + shift, y, text, fill, align, verticalAlign: 'middle',
            fontSize: 11, fontWeight: 600, fontFamily: font() } });
        const back = (half) => ({ type: 'rect', silent: true, shape: { x: x - half, y: y - 8, width: 2 * half, height: 16, r: 4 }, style: { fill: theme.card, opacity: .88 } });
        if (edge.true === null) return [back(11), part(learned, theme.observed, 'center', 0)];
        return [back(20), part((100 * edge.true).toFixed(0), theme.truth, 'right', -3), part('·', theme.muted, 'center', 0), part(learned, theme.observed, 'left', 3)];
    };
    const edgeItem = (params) => {
        const edge = plot.edges[params.dataIndex];
        const { start, control, end } = curve(edge);
        const near = state.focus === null || state.focus === edge.from || state.focus === edge.to;
        const width = .8 + 5 * Math.sqrt(edge.n / flow);
        const stroke = off(edge) > 4 ? theme.bad : state.focus !== null && near ? theme.observed : theme.reference;
        const angle = Math.atan2(end[1] - control[1], end[0] - control[0]);
        const head = 4 + width;
        const corner = (turn) => [end[0] - head * Math.cos(angle + turn), end[1] - head * Math.sin(angle + turn)];
        const tipAt = [end[0] + 4 * Math.cos(angle), end[1] + 4 * Math.sin(angle)];
        const opacity = near ? (state.focus === null ? .55 : .9) : .08;
        const children = [
            { type: 'bezierCurve', shape: { x1: start[0], y1: start[1], cpx1: control[0], cpy1: control[1], x2: end[0], y2: end[1] },
                style: { stroke, fill: 'none', lineWidth: width, opacity } },
            { type: 'polygon', shape: { points: [tipAt, corner(.5), corner(-.5)] }, style: { fill: stroke, opacity } },
        ];
        return { type: 'group', children };
    };
    // Labels stand above all arrows.
    const labelItem = (params) => {
        const edge = plot.edges[params.dataIndex];
        const near = state.focus === edge.from || state.focus === edge.to;
        const place = state.focus === null ? labels.get(params.dataIndex) : near ? labels.get(params.dataIndex) ?? along(curve(edge), .5) : null;
        return place ? { type: 'group', children: edgeLabel(edge, place) } : null;
    };
    /** Where a name may stand without leaving the plot. */
    const within = (x, node) => {
        const half = Math.min(short(node.name).length * (narrow ? 3.3 : 3.9), width / 2);
        return Math.min(Math.max(x, half), width - half);
    };
    const nodeItem = (params) => {
        const node = plot.nodes[params.dataIndex];
        const [x, y] = places[params.dataIndex];
        const near = state.focus === null || state.focus === params.dataIndex ||
            plot.edges.some((edge) => (edge.from === state.focus && edge.to === params.dataIndex) || (edge.to === state.focus && edge.from === params.dataIndex));
        const fill = node.role === 'exit' ? theme.estimate : node.role === 'entry' ? theme.slow : theme.observed;
        const r = radius(node);
        return { type: 'group', children: [
            { type: 'circle', shape: { cx: x, cy: y, r }, style: { fill, stroke: theme.card, lineWidth: 2, opacity: near ? 1 : .25 } },
            { type: 'text', style: { x: within(x, node), y: y + r + 3, text: short(node.name), align: 'center', verticalAlign: 'top', fontSize: narrow ? 10 : 12,
                fontWeight: 600, fontFamily: font(), fill: theme.ink, stroke: theme.card, lineWidth: 4, opacity: near ? 1 : .35 } },
        ] };
    };
    const nodeTip = (node) => {
        const rows = [[theme.observed, 'visits', show(node.visits)]];
        if (node.entry > 0 || node.true_entry) {
            rows.push([theme.observed, 'sessions begin here, learned', show(node.entry, { share: true })]);
            if (node.true_entry !== null) rows.push([theme.truth, 'sessions begin here, true', show(node.true_entry, { share: true })]);
        }
        return tip(node.name, rows);
    };
    const edgeTip = (edge) => {
        const rows = [[theme.observed, 'learned', show(edge.learned, { share: true }), `n = ${whole.format(edge.n)}`]];
        if (edge.true !== null) rows.push([theme.truth, 'true', show(edge.true, { share: true }), `${off(edge).toFixed(1)} standard errors apart`]);
        return tip(`${plot.nodes[edge.from].name} → ${plot.nodes[edge.to].name}`, rows);
    };
    const pixel = { type: 'value', show: false, min: 0 };
    return {
        option: {
            ...base(theme, { trigger: 'item', formatter: (item) => item.seriesId === 'nodes' ? nodeTip(plot.nodes[item.dataIndex]) : edgeTip(plot.edges[item.dataIndex]) }),
            grid: { left: 0, right: 0, top: 0, bottom: 0, outerBoundsMode: 'none' },
            xAxis: { ...pixel, max: width },
            yAxis: { ...pixel, max: height, inverse: true },
            series: [
                { id: 'edges', type: 'custom', data: plot.edges.map((_, index) => [0, 0, index]), renderItem: edgeItem, z: 2, clip: false },
                { id: 'labels', type: 'custom', data: plot.edges.map((_, index) => [0, 0, index]), renderItem: labelItem, z: 4, clip: false, silent: true },
                { id: 'nodes', type: 'custom', data: plot.nodes.map((_, index) => [0, 0, index]), renderItem: nodeItem, z: 5, clip: false },
            ],
        },
        listen: (chart) => {
            const focus = (node) => {
                if (state.focus === node) return;
                state.focus = node;
                chart.setOption({ series: [{ id: 'edges', renderItem: edgeItem }, { id: 'labels', renderItem: labelItem }, { id: 'nodes', renderItem: nodeItem }] });
            };
            chart.on('mouseover', (item) => { if (item.seriesId === 'nodes') focus(item.dataIndex); });
            chart.on('click', (item) => { if (item.seriesId === 'nodes') focus(item.dataIndex); });
            chart.on('globalout', () => focus(null));
            chart.getZr().on('mousemove', (event) => { if (!event.target) focus(null); });
        },
    };
}

// Quantiles by category.

function boxesOption(plot, theme, narrow) {
    const item = (values, color, shift, fill) => (params, api) => {
        const five = values[params.dataIndex];
        if (!five) return null;
        const [, middle] = api.coord([five[2], params.dataIndex]);
        const band = api.size([0, 1])[1];
        const y = middle + shift * band;
        const half = Math.min(band * .17, 7);
        const x = five.map((value) => api.coord([value, params.dataIndex])[0]);
        const line = (x1, y1, x2, y2, lineWidth) => ({ type: 'line', shape: { x1, y1, x2, y2 }, style: { stroke: color, lineWidth } });
        return { type: 'group', children: [
            line(x[0], y, x[4], y, 1.5), line(x[0], y - half * .6, x[0], y + half * .6, 1.5), line(x[4], y - half * .6, x[4], y + half * .6, 1.5),
            { type: 'rect', shape: { x: x[1], y: y - half, width: Math.max(x[3] - x[1], 1), height: 2 * half, r: 2 }, style: { fill: fill ? color : theme.card, stroke: color, lineWidth: 1.5 } },
            { type: 'line', shape: { x1: x[2], y1: y - half, x2: x[2], y2: y + half }, style: { stroke: fill ? theme.card : color, lineWidth: 2 } },
        ] };
    };
    const both = plot.truth.some(Boolean);
    const data = (values) => values.map((five, index) => [five ? five[0] : null, five ? five[4] : null, index]);
    const series = [{ id: 'observed', type: 'custom', data: data(plot.observed), encode: { x: [0, 1], y: 2 }, renderItem: item(plot.observed, theme.observed, both ? -.2 : 0, true) }];
    if (both) series.push({ id: 'truth', type: 'custom', data: data(plot.truth), encode: { x: [0, 1], y: 2 }, renderItem: item(plot.truth, theme.truth, .2, false) });
    const words = (five) => five ? `${show(five[2], plot.y)} (${show(five[0], plot.y)} to ${show(five[4], plot.y)})` : '–';
    return {
        ...base(theme, {
            trigger: 'axis', axisPointer: { type: 'shadow', shadowStyle: { color: theme.line, opacity: .35 } },
            formatter: (items) => {
                const index = items[0].dataIndex;
                const rows = [[theme.observed, 'observed', words(plot.observed[index]), `n = ${whole.format(plot.n[index])}`]];
                if (both) rows.push([theme.truth, 'true', words(plot.truth[index])]);
                return tip(plot.x.categories[index], rows);
            },
        }),
        grid: gridWithin(),
        xAxis: axisOption(plot.y, theme, narrow, nameBelow(plot.y, theme, 26)),
        yAxis: axisOption(plot.x, theme, narrow, { inverse: true, axisLabel: { ...axisText(theme, narrow), interval: 0, fontSize: narrow ? 10 : 12 } }),
        series,
    };
}

// Spans of time.

function spansOption(plot, theme, narrow) {
    const renderItem = (params, api) => {
        const span = plot.spans[params.dataIndex];
        const [x, y] = api.coord([span.start, span.lane]);
        const [end] = api.coord([span.end, span.lane]);
        const height = Math.min(api.size([0, 1])[1] * .62, 20);
        const children = [{ type: 'rect', shape: { x, y: y - height / 2, width: Math.max(end - x, 3), height, r: Math.min(2, (end - x) / 2) }, style: { fill: theme[span.role] } }];
        const before = plot.spans[params.dataIndex - 1];
        if (before) {
            const [from] = api.coord([before.end, span.lane]);
            const [, above] = api.coord([before.end, before.lane]);
            children.unshift({ type: 'polyline', silent: true, shape: { points: [[from, above + height / 2], [from, y], [x, y]] }, style: { stroke: theme.reference, fill: 'none', lineWidth: 1 } });
        }
        return { type: 'group', children };
    };
    return {
        ...base(theme, { trigger: 'item', formatter: (item) => {
            const span = plot.spans[item.dataIndex];
            return tip(plot.lanes[span.lane], [[theme[span.role], span.label, '', `from ${show(span.start, plot.x)} to ${show(span.end, plot.x)}`]]);
        } }),
        grid: gridWithin(),
        xAxis: axisOption(plot.x, theme, narrow, nameBelow(plot.x, theme, 26)),
        yAxis: axisOption({ categories: plot.lanes, groups: [], label: '', unit: '' }, theme, narrow, {
            inverse: true, axisLabel: { ...axisText(theme, narrow), interval: 0, fontSize: narrow ? 10 : 12 }, splitLine: { show: true, lineStyle: { color: theme.line } },
        }),
        series: [{ type: 'custom', data: plot.spans.map((span) => [span.start, span.end, span.lane]), encode: { x: [0, 1], y: 2 }, renderItem }],
    };
}

/** Whether a plot has less room than it needs at full size. */
const isNarrow = (plot, width) => width < (plot.kind === 'heat' ? 800 : NARROW);

/** How tall a plot is, pixels. */
function heightOf(plot, narrow) {
    switch (plot.kind) {
        case 'heat': return plot.maps.length * (plot.y.categories.length * (narrow ? 17 : 22) + (narrow ? 82 : 94));
        case 'graph': {
            const layers = Math.max(...plot.nodes.map((node) => node.layer));
            const row = Math.max(...plot.nodes.map((one) => plot.nodes.filter((other) => other.layer === one.layer).length));
            return narrow ? 150 + 96 * layers : Math.min(620, 220 + 100 * row);
        }
        case 'boxes': return plot.x.categories.length * (narrow ? 30 : 32) + 60;
        case 'spans': return plot.lanes.length * 26 + 60;
        default: return plot.horizontal ? plot.x.categories.length * 32 + 60 : narrow ? 250 : 300;
    }
}

/** What the plotting library is to draw, and what is to be done once it stands. */
function drawing(plot, theme, width, height) {
    const narrow = isNarrow(plot, width);
    switch (plot.kind) {
        case 'chart': return { option: chartOption(plot, theme, narrow) };
        case 'heat': return { option: heatOption(plot, theme, narrow, height) };
        case 'graph': return graphOption(plot, theme, narrow, height, width);
        case 'boxes': return { option: boxesOption(plot, theme, narrow) };
        case 'spans': return { option: spansOption(plot, theme, narrow) };
        default: throw new Error(`no way to draw a plot of kind ${plot.kind}`);
    }
}

/** Names, colours and shapes for a plot's legend. */
function legendOf(plot) {
    switch (plot.kind) {
        case 'chart': {
            const entries = plot.series.map((one) => [one.name, one.role, one.draw, one.low !== undefined]);
            return plot.diagonal ? [...entries, [plot.diagonal, 'truth', 'line', false]] : entries;
        }
        case 'boxes': return [['observed: median, middle half, 5% to 95%', 'observed', 'bars', false],
            ...(plot.truth.some(Boolean) ? [['true, the same', 'truth', 'outline', false]] : [])];
        case 'spans': {
            const names = { observed: 'answered', slow: 'slow', timeout: 'timed out (504)', refused: 'refused (503)', second: 'retry' };
            const roles = Object.keys(names).filter((role) => plot.spans.some((span) => span.role === role));
            return [...roles.map((role) => [names[role], role, 'bars', false]), ['wait until the next call', 'reference', 'line', false]];
        }
        case 'graph': return [['entry', 'slow', 'points', false], ['state', 'observed', 'points', false], ['exit', 'estimate', 'points', false],
            ...(plot.edges.some((edge) => edge.true !== null) ? [['true probability, %', 'truth', 'text', false]] : []),
            ['learned from the calls, %', 'observed', 'text', false]];
        default: return [];
    }
}
