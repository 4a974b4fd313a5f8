// Uploads one file as a page would, with nothing but the stock AWS SDK: the grant goes to
// fromCognitoIdentity, the bytes go through lib-storage in parallel parts.
import { createReadStream } from "node:fs";
import { S3Client } from "@aws-sdk/client-s3";
import { fromCognitoIdentity } from "@aws-sdk/credential-providers";
import { Upload } from "@aws-sdk/lib-storage";

const { grant, key, path } = JSON.parse(process.argv[2]);

const client = new S3Client({
  region: grant.region,
  endpoint: grant.endpoints.s3 ?? undefined,
  forcePathStyle: grant.endpoints.s3 !== null,
  credentials: fromCognitoIdentity({
    identityId: grant.identity_id,
    logins: grant.logins,
    clientConfig: {
      region: grant.region,
      endpoint: grant.endpoints.cognito_identity ?? undefined,
    },
  }),
});

const upload = new Upload({
  client,
  params: { Bucket: grant.bucket, Key: key, Body: createReadStream(path) },
  partSize: 5 * 1024 * 1024,
  queueSize: 4,
});
const progress = [];
upload.on("httpUploadProgress", ({ loaded }) => progress.push(loaded));
const { ETag } = await upload.done();
console.log(JSON.stringify({ etag: ETag.replaceAll('"', ""), reports: progress.length }));
