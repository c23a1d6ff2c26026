// @heroku/mcp-server 1.2.8 names two modules of its SDK without their endings, which Node.js refuses.
import { register } from 'node:module'

const hooks = `export function resolve (name, context, next) {
  return next(name.startsWith('@modelcontextprotocol/sdk/') && !name.endsWith('.js') ? name + '.js' : name, context)
}`
register('data:text/javascript,' + encodeURIComponent(hooks))
