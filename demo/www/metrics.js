// The text of an OpenMetrics page, as far as this page needs it: one sample a line,
//
//     name{label="value",label="value"} 1.5

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;

/** Returns name → [{ labels: "kind=\"accepted\"", value: 1.5 }, ...]. */
export function parse(text) {
	const samples = new Map();
	for (const [, name, labels = "", value] of text.split("\n").map((each) => each.match(line)).filter(Boolean)) {
		if (!samples.has(name)) samples.set(name, []);
		samples.get(name).push({ labels, value: Number(value) });
	}
	return samples;
}

/** Adds up the samples of that name whose labels contain the text; undefined if there are none. */
export function sum(samples, name, label = "") {
	const found = (samples.get(name) ?? []).filter(({ labels }) => labels.includes(label));
	return found.length ? found.reduce((total, { value }) => total + value, 0) : undefined;
}
