/*
 * A FIDO authenticator in software, as middleware for OpenSSH (its sk-api.h), for tests only: the
 * key handle is the private key. Build:
 *   cc -shared -fPIC -o sk_provider.so sk_provider.c -lcrypto -DSK_API=0x000a0000
 */
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SK_ECDSA 0x00
#define SK_ED25519 0x01

struct sk_enroll_response {
	uint8_t flags;
	uint8_t *public_key;
	size_t public_key_len;
	uint8_t *key_handle;
	size_t key_handle_len;
	uint8_t *signature;
	size_t signature_len;
	uint8_t *attestation_cert;
	size_t attestation_cert_len;
	uint8_t *authdata;
	size_t authdata_len;
};

struct sk_sign_response {
	uint8_t flags;
	uint32_t counter;
	uint8_t *sig_r;
	size_t sig_r_len;
	uint8_t *sig_s;
	size_t sig_s_len;
};

static uint8_t *
copy(const void *data, size_t length)
{
	uint8_t *made = malloc(length ? length : 1);

	memcpy(made, data, length);
	return made;
}

uint32_t
sk_api_version(void)
{
	return SK_API;
}

static int
new_ed25519(struct sk_enroll_response *r)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t public[32], secret[32];
	size_t length = 32;

	if (key == NULL || !EVP_PKEY_get_raw_public_key(key, public, &length) ||
	    !EVP_PKEY_get_raw_private_key(key, secret, &length))
		return -1;
	r->public_key = copy(public, r->public_key_len = 32);
	r->key_handle = copy(secret, r->key_handle_len = 32);
	EVP_PKEY_free(key);
	return 0;
}

static int
new_ecdsa(struct sk_enroll_response *r)
{
	EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	uint8_t point[65], secret[32];

	if (key == NULL || !EC_KEY_generate_key(key) ||
	    EC_POINT_point2oct(EC_KEY_get0_group(key), EC_KEY_get0_public_key(key),
	    POINT_CONVERSION_UNCOMPRESSED, point, sizeof(point), NULL) != sizeof(point) ||
	    BN_bn2binpad(EC_KEY_get0_private_key(key), secret, 32) != 32)
		return -1;
	r->public_key = copy(point, r->public_key_len = sizeof(point));
	r->key_handle = copy(secret, r->key_handle_len = 32);
	EC_KEY_free(key);
	return 0;
}

int
sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application,
    uint8_t flags, const char *pin, void **options, struct sk_enroll_response **response)
{
	struct sk_enroll_response *r = calloc(1, sizeof(*r));

	r->flags = flags;
	if ((alg == SK_ED25519 ? new_ed25519(r) : new_ecdsa(r)) != 0)
		return -1;
	r->signature = copy("", r->signature_len = 1);
	r->attestation_cert = copy("", r->attestation_cert_len = 1);
	r->authdata = copy("", r->authdata_len = 1);
	*response = r;
	return 0;
}

static int
sign_ed25519(const uint8_t *handle, const uint8_t *data, size_t length, struct sk_sign_response *r)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, handle, 32);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t signature[64];
	size_t made = sizeof(signature);

	if (EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
	    EVP_DigestSign(context, signature, &made, data, length) != 1)
		return -1;
	r->sig_r = copy(signature, r->sig_r_len = made);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return 0;
}

static int
sign_ecdsa(const uint8_t *handle, const uint8_t *data, size_t length, struct sk_sign_response *r)
{
	EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	BIGNUM *secret = BN_bin2bn(handle, 32, NULL);
	uint8_t digest[32], part[32];
	const BIGNUM *br, *bs;
	ECDSA_SIG *signature;

	SHA256(data, length, digest);
	EC_KEY_set_private_key(key, secret);
	if ((signature = ECDSA_do_sign(digest, sizeof(digest), key)) == NULL)
		return -1;
	ECDSA_SIG_get0(signature, &br, &bs);
	r->sig_r_len = BN_bn2bin(br, part);
	r->sig_r = copy(part, r->sig_r_len);
	r->sig_s_len = BN_bn2bin(bs, part);
	r->sig_s = copy(part, r->sig_s_len);
	return 0;
}

int
sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application,
    const uint8_t *key_handle, size_t key_handle_len, uint8_t flags, const char *pin,
    void **options, struct sk_sign_response **response)
{
	struct sk_sign_response *r = calloc(1, sizeof(*r));
	uint8_t signed_data[32 + 1 + 4 + 32];

	if (key_handle_len != 32)
		return -1;
	r->flags = flags;
	r->counter = 0x12345678;
	SHA256((const uint8_t *)application, strlen(application), signed_data);
	signed_data[32] = flags;
	memcpy(signed_data + 33, "\x12\x34\x56\x78", 4);
	SHA256(data, data_len, signed_data + 37);
	*response = r;
	return alg == SK_ED25519 ?
	    sign_ed25519(key_handle, signed_data, sizeof(signed_data), r) :
	    sign_ecdsa(key_handle, signed_data, sizeof(signed_data), r);
}

int
sk_load_resident_keys(const char *pin, void **options, void ***keys, size_t *count)
{
	*keys = NULL;
	*count = 0;
	return 0;
}
