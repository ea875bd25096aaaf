// Asks for the metrics once a second, and draws what has come of them.

import { Chart } from "./chart.js";
import { parse, sum } from "./metrics.js";

const ours = "prosody_net_server_go_";

// gauge: the value itself. rate: by how much it grows in a second.
const gauge = (name, { label, of, times = 1 } = {}) => ({ label, of, times, name });
const rate = (name, options) => ({ ...gauge(name, options), rate: true });

const charts = [
	{
		title: "Connections", unit: "open", least: 10,
		what: "Clients that are connected, and this page itself.",
		series: [gauge(`${ours}connections`, { of: 'kind="accepted"' })],
	},
	{
		title: "TLS handshakes", unit: "a second", least: 10,
		what: "Each encrypted login has one. The cryptography runs beside Prosody's thread, on the other cores.",
		series: [rate(`${ours}tls_handshakes_total`)],
	},
	{
		title: "Messages", unit: "a second", least: 10,
		what: "Chat messages that clients send.",
		series: [rate("prosody_mod_demo__messages_total")],
	},
	{
		title: "Prosody's thread", unit: "% busy", least: 100, most: 100,
		what: "Prosody runs on one thread. At 100 % it is full, however many cores there are.",
		series: [rate(`${ours}turn_seconds_sum`, { times: 100 })],
	},
	{
		title: "Longest turn", unit: "ms", least: 20,
		what: "The longest that everybody had to wait while Prosody was busy with one batch of work.",
		series: [gauge(`${ours}longest_turn_seconds`, { times: 1000 })],
	},
	{
		title: "Network traffic", unit: "kB/s", least: 10,
		what: "Bytes on the wire; with TLS, encrypted.",
		series: [
			rate(`${ours}received_bytes_total`, { label: "in", times: 1e-3 }),
			rate(`${ours}sent_bytes_total`, { label: "out", times: 1e-3 }),
		],
	},
].map((of) => new Chart({ ...of, metric: of.series.map(({ name }) => name).join(", ") }, document.querySelector("#chart")));

const status = document.querySelector("#status");

function say(text, mood) {
	status.textContent = text;
	status.className = mood;
}

async function ask() {
	const answer = await fetch("/metrics", { cache: "no-store", signal: AbortSignal.timeout(5000) });
	if (!answer.ok) throw new Error(`Prosody answers ${answer.status} ${answer.statusText}`);
	return parse(await answer.text());
}

// When Prosody counted: its answer may have been long on its way.
const clock = "prosody_mod_demo__time_seconds";

let before = new Map(); // the samples of the turn before

function growth(samples, name, label) {
	const [now, last] = [samples, before].map((each) => sum(each, name, label));
	return now >= last ? now - last : undefined; // a counter that went back is another Prosody's
}

/** What a series is now, undefined if nobody knows. */
function valueOf({ name, of, rate, times }, samples) {
	const value = rate ? growth(samples, name, of) / growth(samples, clock) : sum(samples, name, of);
	return Number.isFinite(value) ? value * times : undefined;
}

function describe(samples) {
	if (!samples.has(`${ours}servers`)) {
		say("Prosody answers, but it does not run on the go backend: only its messages are counted.", "bad");
		return;
	}
	const failed = sum(samples, `${ours}tls_handshake_failures_total`) ?? 0;
	const who = sum(samples, `${ours}io_thread`) ? "A thread of its own does the I/O" : "There is little I/O, so Prosody's thread does it too";
	say(`Live. ${who}. Failed TLS handshakes so far: ${failed}.`, "good");
}

async function turn() {
	let samples = new Map();
	try {
		samples = await ask();
		describe(samples);
	} catch (error) {
		say(`No metrics: ${error.message}. Does make run still run?`, "bad");
	}
	for (const chart of charts) chart.add(performance.now() / 1000, chart.of.series.map((series) => valueOf(series, samples)));
	before = samples;
	setTimeout(turn, 1000);
}

document.querySelector("#charts").append(...charts.map(({ root }) => root));
turn();
