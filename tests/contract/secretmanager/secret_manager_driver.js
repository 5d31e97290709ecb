'use strict';
// Runs rows of the fidelity table with Google's Node client.
// usage: node driver.js GRPC_PORT < rows.json; prints one JSON line of outcomes for each row.
// Each row: {name, parent, calls: [[method, request], ...]} with "$ahead" and "$result" values.

const fs = require('fs');
const {createRequire} = require('module');

const load = createRequire(`${process.cwd()}/`);
const {SecretManagerServiceClient} = load('@google-cloud/secret-manager');
const {credentials} = load('google-gax').grpc;

const MAPS = new Set(['labels', 'annotations', 'versionAliases']);

const camel = name => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

function resolved(value, answers) {
  if (Array.isArray(value)) return value.map(item => resolved(item, answers));
  if (value === null || typeof value !== 'object') return value;
  if ('$ahead' in value) return {seconds: Math.floor(Date.now() / 1000) + value.$ahead};
  if ('$result' in value) {
    const [index, path] = value.$result;
    return path.split('.').reduce((found, step) => found[step], answers[index]);
  }
  const entries = Object.entries(value).map(([key, item]) => {
    const name = camel(key);
    return [name, MAPS.has(name) ? item : resolved(item, answers)];
  });
  return Object.fromEntries(entries);
}

const plain = answer =>
  JSON.parse(
    JSON.stringify(answer, (_key, value) =>
      value && value.type === 'Buffer' ? Buffer.from(value.data).toString('base64') : value
    )
  );

async function call(client, method, request) {
  const name = method[0].toLowerCase() + method.slice(1);
  const options = {autoPaginate: false, retry: null, timeout: 5000};
  const answer = await client[name](request, options);
  return method.startsWith('List') ? plain(answer[2] || {}) : plain(answer[0]);
}

async function run(client, row) {
  const answers = [];
  for (const [method, request] of row.calls) {
    const last = answers.length === row.calls.length - 1;
    try {
      answers.push(await call(client, method, resolved(request, answers)));
    } catch (error) {
      if (!last) throw error;
      return {name: row.name, code: error.code, message: error.details};
    }
  }
  return {name: row.name, answers};
}

async function main() {
  const client = new SecretManagerServiceClient({
    apiEndpoint: '127.0.0.1',
    port: Number(process.argv[2]),
    sslCreds: credentials.createInsecure(),
  });
  for (const row of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    console.log(JSON.stringify(await run(client, row)));
  }
  await client.close();
}

main();
