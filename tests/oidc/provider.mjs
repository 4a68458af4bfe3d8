// OpenID providers for tests: node provider.mjs FOLDER_OF_MODULES
//
// One process for all of them, since loading the modules takes a second of a core. A line of input opens a provider
//   {"open": {"port": 0 for any, "clients": […], "kid": the name of its signing key}}   answered by 'listening URL'
// or closes the one at a port, with its connections
//   {"close": PORT}                                                                      answered by 'closed PORT'
// The process ends when its input does. There is no login page: the request's login_hint names the account, which POST /test/accounts made
// ({sub, claims, amr, acr}). A hint that names none is refused, in words that an answer must not carry unescaped.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [modules] = process.argv.slice(2);
// The library's remarks are no answers.
console.info = console.error;
const require = createRequire(`${modules}/package.json`);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const servers = new Map();

async function open({ port, clients, kid }) {
  const accounts = new Map();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
  const server = createServer();
  await new Promise((listening) => server.listen(port, '127.0.0.1', listening));
  servers.set(server.address().port, server);
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: [jwk] },
    cookies: { keys: ['not a secret'] },
    claims: {
      openid: ['sub', 'acr', 'amr', 'sid'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    scopes: ['openid', 'profile', 'email', 'groups'],
    pkce: { required: () => true, methods: ['S256'] },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
    // Claims at the userinfo endpoint alone, as the specification has it.
    conformIdTokenClaims: true,
    interactions: { url: (_, interaction) => `/test/interaction/${interaction.uid}` },
    ttl: { AccessToken: 60, AuthorizationCode: 60, IdToken: 60, Interaction: 60, Session: 600, Grant: 600 },
    findAccount: (_, sub) => accounts.has(sub) && { accountId: sub, claims: () => ({ sub, ...accounts.get(sub).claims }) },
  });
  const callback = provider.callback();
  server.on('request', (request, response) => handle({ provider, callback, accounts }, request, response));
  return `listening ${issuer}`;
}

async function close(port) {
  const server = servers.get(port);
  servers.delete(port);
  const closed = new Promise((done) => server.close(done));
  server.closeAllConnections();
  await closed;
  return `closed ${port}`;
}

async function handle({ provider, callback, accounts }, request, response) {
  try {
    if (request.url === '/test/accounts' && request.method === 'POST') return await change(accounts, request, response);
    if (request.url.startsWith('/test/interaction/')) return await interact(provider, accounts, request, response);
    return callback(request, response);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}

async function change(accounts, request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const account = JSON.parse(Buffer.concat(chunks));
  accounts.set(account.sub, account);
  response.writeHead(204).end();
}

async function interact(provider, accounts, request, response) {
  const { params, prompt, session } = await provider.interactionDetails(request, response);
  const accountId = session?.accountId ?? params.login_hint;
  const account = accounts.get(accountId);
  if (!account) {
    const refusal = { error: 'access_denied', error_description: 'no <script>alert(1)</script> account' };
    return provider.interactionFinished(request, response, refusal);
  }
  if (prompt.name === 'login') {
    const login = { accountId, amr: account.amr, acr: account.acr };
    return provider.interactionFinished(request, response, { login });
  }
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  console.log(command.open ? await open(command.open) : await close(command.close));
}
process.exit(0);
