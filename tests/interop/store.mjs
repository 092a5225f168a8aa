// Where the interop server keeps its state: one Map, nothing evicted, gone with the process.
// oidc-provider's own memory store forgets after 1,000 entries, which would look like lost logins.

const GRANTABLE = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode']);

const entries = new Map(); // "Model:id" -> payload
const byUid = new Map(); // session uid -> id
const byUserCode = new Map(); // device user code -> id
const byGrant = new Map(); // grant id -> Set of "Model:id", for revoking a whole login at once

/** An adapter as oidc-provider wants it. Expiry is the provider's business: it checks `exp` itself. */
export class MapAdapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    const key = this.key(id);
    entries.set(key, payload);
    if (this.model === 'Session') byUid.set(payload.uid, id);
    if (payload.userCode) byUserCode.set(payload.userCode, id);
    if (GRANTABLE.has(this.model) && payload.grantId) {
      if (!byGrant.has(payload.grantId)) byGrant.set(payload.grantId, new Set());
      byGrant.get(payload.grantId).add(key);
    }
  }

  async find(id) {
    return entries.get(this.key(id));
  }

  async findByUid(uid) {
    return this.find(byUid.get(uid));
  }

  async findByUserCode(userCode) {
    return this.find(byUserCode.get(userCode));
  }

  async consume(id) {
    entries.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    entries.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of byGrant.get(grantId) ?? []) entries.delete(key);
    byGrant.delete(grantId);
  }
}
