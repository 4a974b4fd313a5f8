// @uppy/companion as its README has it: a router of an Express application, S3 options besides.
// What it needs comes as JSON in COMPANION_PEER, so that no secret is seen among the arguments.
import bodyParser from 'body-parser'
import express from 'express'
import session from 'express-session'
import * as companion from '@uppy/companion'

const { port, secret, filePath, s3 } = JSON.parse(process.env.COMPANION_PEER)

const app = express()
app.use(bodyParser.json())
// The README's line, less what would keep a session in memory for each call of this benchmark.
app.use(session({ secret, resave: false, saveUninitialized: false }))

const { app: companionApp } = companion.app({
  secret,
  filePath,
  server: { host: `127.0.0.1:${port}`, protocol: 'http' },
  s3,
  corsOrigins: true,
  uploadUrls: [s3.endpoint],
})
app.use(companionApp)
app.listen(port, '127.0.0.1')
