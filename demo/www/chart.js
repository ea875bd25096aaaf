// One chart: a heading, the newest value, and a line for each series.

const svg = "http://www.w3.org/2000/svg";
const seconds = 120; // what the chart is wide

/** The next higher number that reads well as the top of a scale. */
function roundUp(value) {
	const power = 10 ** Math.floor(Math.log10(value));
	return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((digit) => digit * power).find((bound) => bound >= value * 0.999);
}

function element(tag, attributes) {
	const made = document.createElementNS(svg, tag);
	for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
	return made;
}

/** A number of three digits or so: "0.25", "7.3", "128", "12.5 k", "1.20 M". */
export function short(value) {
	for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e4]]) {
		if (value >= size) return `${(value / (size === 1e4 ? 1e3 : size)).toPrecision(3)} ${unit}`;
	}
	return String(Number(value.toFixed(value < 1 ? 2 : value < 10 ? 1 : 0)));
}

export class Chart {
	/** of: { title, unit, what, metric, series: [{ label }], least: the least that its top is, most: what no value can exceed } */
	constructor(of, template) {
		this.of = of;
		this.points = []; // { time, values }; values are undefined where nothing is known
		this.root = template.content.firstElementChild.cloneNode(true);
		this.find("h2").textContent = of.title;
		this.find(".what").textContent = of.what;
		this.find(".metric").textContent = of.metric;
	}

	find(selector) { return this.root.querySelector(selector); }

	/** time: in seconds */
	add(time, values) {
		const { most = Infinity } = this.of;
		this.points.push({ time, values: values.map((value) => value === undefined ? value : Math.min(most, value)) });
		while (this.points[0].time < time - seconds - 2) this.points.shift();
		this.draw(time);
	}

	draw(now) {
		const known = this.points.flatMap(({ values }) => values).filter((value) => value !== undefined);
		const top = roundUp(Math.max(this.of.least, ...known));
		this.find(".top").textContent = `${short(top)} ${this.of.unit}`;
		this.find("svg").replaceChildren(
			...[0, 50].map((y) => element("line", { x1: 0, x2: seconds, y1: y, y2: y })),
			...this.of.series.flatMap((_, index) => this.lines(index, now, top)),
		);
		this.find(".now").replaceChildren(...this.of.series.map((each, index) => this.newest(each, index)));
	}

	/** A gap in what is known is a gap in the line. */
	lines(index, now, top) {
		const runs = [[]];
		for (const { time, values } of this.points) {
			if (values[index] === undefined) runs.push([]);
			else runs.at(-1).push(`${(seconds - now + time).toFixed(2)},${(100 - 100 * values[index] / top).toFixed(2)}`);
		}
		return runs.filter((run) => run.length > 1)
			.map((run) => element("polyline", { points: run.join(" "), class: index ? "second" : "first" }));
	}

	newest({ label }, index) {
		const value = this.points.at(-1).values[index];
		const text = document.createElement("span");
		const unit = document.createElement("small");
		if (index) text.className = "second";
		if (label) {
			const key = document.createElement("span");
			key.className = "key";
			text.append(key);
		}
		unit.textContent = ` ${this.of.unit}${label ? ` ${label}` : ""}`;
		text.append(value === undefined ? "–" : short(value), unit);
		return text;
	}
}
