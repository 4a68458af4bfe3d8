// An OpenID provider for tests: node provider.mjs FOLDER_OF_MODULES SETTINGS_JSON
//
// Settings: port (0 chooses one), clients, kid (the name of the signing key) and conform (claims at the userinfo endpoint alone). It prints 'listening URL' and ends when its input does.
// There is no login page: the request's login_hint names the account, which POST /test/accounts made ({sub, claims, amr, acr}). A hint that
// names none is refused, in words that an answer must not carry unescaped.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, text] = process.argv.slice(2);
const settings = JSON.parse(text);
const require = createRequire(`${modules}/package.json`);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const accounts = new Map();
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = { ...privateKey.export({ format: 'jwk' }), kid: settings.kid ?? 'one', use: 'sig', alg: 'RS256' };

const server = createServer((request, response) => handle(request, response));
await new Promise((listening) => server.listen(settings.port ?? 0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: settings.clients,
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
  // Claims in the ID token, or at the userinfo endpoint alone, as the specification has it.
  conformIdTokenClaims: settings.conform ?? true,
  interactions: { url: (_, interaction) => `/test/interaction/${interaction.uid}` },
  ttl: { AccessToken: 60, AuthorizationCode: 60, IdToken: 60, Interaction: 60, Session: 600, Grant: 600 },
  findAccount: (_, sub) => accounts.has(sub) && { accountId: sub, claims: () => ({ sub, ...accounts.get(sub).claims }) },
});
const callback = provider.callback();

async function handle(request, response) {
  try {
    if (request.url === '/test/accounts' && request.method === 'POST') return await change(request, response);
    if (request.url.startsWith('/test/interaction/')) return await interact(request, response);
    return callback(request, response);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}

async function change(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const account = JSON.parse(Buffer.concat(chunks));
  accounts.set(account.sub, account);
  response.writeHead(204).end();
}

async function interact(request, response) {
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

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
console.log(`listening ${issuer}`);
