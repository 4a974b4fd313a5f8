// A page as an application would write it, with nothing but stock Uppy. The test calls
// `uploadgate.upload(task)` in a real browser, so that CORS and signed headers are proved too.
import AwsS3 from "@uppy/aws-s3";
import Uppy from "@uppy/core";

/** Calls the service's API as the logged-in user. */
const caller =
  ({ api, token }) =>
  async (path, body) => {
    const answer = await fetch(api + path, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(body ?? {}),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.code);
    return said;
  };

/** The three exclusive modes of @uppy/aws-s3; `key` is what generateObjectKey answers. */
const modes = {
  async credentials(call, { folder }) {
    const exchange = () => call("/v1/credentials/exchange");
    const first = await exchange();
    return {
      s3Endpoint: `${first.endpoint}/${first.bucket}`,
      async getCredentials() {
        const keys = await exchange();
        return {
          region: keys.region,
          credentials: {
            accessKeyId: keys.access_key_id,
            secretAccessKey: keys.secret_access_key,
            sessionToken: keys.session_token,
            expiration: keys.expires_at,
          },
        };
      },
      generateObjectKey: (file) => file.meta.key ?? `${first.key_prefix}${folder}/${file.name}`,
    };
  },
  async signed(call) {
    return {
      signRequest: (request) => call("/v1/s3/presign", request),
      generateObjectKey: (file) => file.meta.key,
    };
  },
  async companion(call, { profile }) {
    const ticket = await call("/v1/uppy/tickets", { profile });
    return { companionEndpoint: ticket.companion_endpoint };
  },
};

/** The record first: Uppy takes its key from the file's meta. */
const announcing = (uppy, call, transport) => async (ids) => {
  for (const id of ids) {
    const file = uppy.getFile(id);
    if (file.meta.key) continue;
    const upload = await call("/v1/uploads", {
      filename: file.name,
      size: file.size,
      content_type: file.type,
      transport,
    });
    uppy.setFileMeta(id, { key: upload.key });
  }
};

/** What happens to the file once its first part is there. */
const interruptions = {
  async pause(uppy, id) {
    uppy.pauseResume(id);
    uppy.pauseResume(id);
  },
  async cancel(uppy) {
    uppy.cancelAll();
  },
  /** As when the page is closed: what is under way ends, and nobody is told. */
  async leave(uppy) {
    uppy.pauseAll();
    throw new Error("left");
  },
};

async function upload(task) {
  const call = caller(task);
  const uppy = new Uppy({ autoProceed: false });
  const told = { parts: [], events: [], progress: 0 };
  uppy.use(AwsS3, {
    shouldUseMultipart: task.multipart,
    ...(await modes[task.mode](call, task)),
  });
  if (task.announce) uppy.addPreProcessor(announcing(uppy, call, task.announce));

  const bytes = content(task.size, task.seed ?? 1);
  const id = uppy.addFile({
    name: task.name,
    type: task.type,
    data: new File([bytes], task.name, { type: task.type }),
    meta: task.meta ?? {},
  });
  if (task.resume) {
    uppy.setFileMeta(id, { key: task.resume.key });
    uppy.setFileState(id, { s3Multipart: task.resume });
  }
  uppy.on("upload-progress", (_, { bytesUploaded }) => {
    told.progress = Math.max(told.progress, bytesUploaded);
  });
  uppy.on("upload-error", (_, error) => told.events.push(String(error)));

  const ended = uppy.upload();
  const interrupted = new Promise((resolve, reject) => {
    uppy.on("s3-multipart:part-uploaded", (file, part) => {
      told.parts.push(part.PartNumber);
      told.multipart = uppy.getFile(file.id)?.s3Multipart;
      const act = interruptions[task.interrupt];
      if (act && told.parts.length === 1) act(uppy, file.id).then(() => {}, reject);
    });
    ended.then(resolve, reject);
  });
  try {
    const result = await interrupted;
    told.successful = (result?.successful ?? []).map((file) => file.response.body);
    told.failed = (result?.failed ?? []).map((file) => file.error);
  } catch (error) {
    if (error.message !== "left") throw error;
    told.left = true;
  }
  told.sha256 = hex(await crypto.subtle.digest("SHA-256", bytes));
  return told;
}

/** Bytes that differ from part to part, and that no other seed makes. */
function content(size, seed) {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = seed >>> 0 || 1;
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, size);
}

const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

globalThis.uploadgate = { upload };
