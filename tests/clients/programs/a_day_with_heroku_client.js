// heroku-client as its README shows it.
const Heroku = require('heroku-client')
const heroku = new Heroku({ token: process.env.HEROKU_API_KEY, host: process.env.PENSTOCK_URL })

async function main () {
  console.log('account:', (await heroku.get('/account')).email)
  const app = await heroku.post('/apps', { body: { name: 'compass' } })
  console.log('app:', app.name, app.stack.name)
  console.log('config:', await heroku.patch('/apps/compass/config-vars', { body: { A: '1' } }))
  for (let at = 0; at < 5; at++) await heroku.patch('/apps/compass/config-vars', { body: { A: String(at) } })
  const releases = await heroku.get('/apps/compass/releases', { headers: { Range: 'version ..; max=3' } })
  console.log('releases, three at a time:', releases.map(release => release.version).join(' '))
  console.log('formation:', await heroku.get('/apps/compass/formation'))
  try {
    await heroku.get('/apps/nosuch')
  } catch (error) {
    console.log('refused:', error.statusCode, error.body.id, error.body.message)
  }
  try {
    await heroku.post('/apps', { body: { name: 'compass' } })
  } catch (error) {
    console.log('refused:', error.statusCode, error.body.id)
  }
  console.log('deleted:', (await heroku.delete('/apps/compass')).name)
}

main().catch(error => { console.error(error); process.exit(1) })
