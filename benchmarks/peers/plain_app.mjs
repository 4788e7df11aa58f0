// Node's own HTTP server with the answers that plain.py has recorded; files are read each time.
// Started by plain.py: node plain_app.mjs <port>

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const told = JSON.parse(readFileSync(`${process.env.PLAIN_FOLDER}/answers.json`, "utf8"));
const answers = new Map(told.map((each) => [`${each.method} ${each.path}`, { ...each, body: readFileSync(each.file) }]));

createServer(async (request, response) => {
  const answer = answers.get(`${request.method} ${request.url}`);
  if (answer === undefined) {
    response.writeHead(404).end();
    return;
  }
  if (request.method === "POST") {
    const parts = [];
    for await (const part of request) parts.push(part);
    JSON.parse(Buffer.concat(parts));
  }
  const body = answer.path.startsWith("/files/") ? await readFile(answer.file) : answer.body;
  response.writeHead(answer.status, { "Content-Type": answer.type, "Content-Length": body.length });
  response.end(body);
}).listen(Number(process.argv[2]), "127.0.0.1");
