// Speaks the Model Context Protocol with @heroku/mcp-server over its standard streams, and prints what each tool says.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const calls = process.argv.slice(2).map(call => JSON.parse(call))
const env = { ...process.env, NODE_OPTIONS: `--import ${new URL('whole_paths.mjs', import.meta.url)}` }
const server = spawn('heroku-mcp-server', { stdio: ['pipe', 'pipe', 'inherit'], env })
const waiting = new Map()
createInterface({ input: server.stdout }).on('line', line => {
  const said = JSON.parse(line)
  waiting.get(said.id)?.(said)
})
let last = 0
function ask (method, params) {
  const id = ++last
  server.stdin.write(JSON.stringify({ jsonrpc: '2.0', id, method, params }) + '\n')
  return new Promise(resolve => waiting.set(id, resolve))
}

await ask('initialize', { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'penstock', version: '1' } })
server.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
for (const [name, given] of calls) {
  const said = await ask('tools/call', { name, arguments: given })
  const text = said.result ? said.result.content.map(part => part.text).join('') : said.error.message
  console.log(`${name}:`)
  // Its two streams meet anywhere, and its shell speaks in between.
  const plain = text.replace(/\s*›\s+Warning: [^]*?of the app\.\s*/g, '\n').replace(/<<<(BEGIN|END) RESULTS>>>|heroku >|\s*session restored\s*/g, '\n').replace(/\.\.\.done\s*/g, '...done\n')
  console.log(plain.replace(/\s*\n\s*\n/g, '\n').trim())
}
server.kill()
process.exit(0)
