/* A PAM module for tests: its first argument says how it behaves. */
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>

static int converse(pam_handle_t *pamh, int count, const struct pam_message *messages,
                    struct pam_response **responses)
{
    const struct pam_message *pointers[200];
    const struct pam_conv *conv;
    for (int i = 0; i < count; i++)
        pointers[i] = &messages[i];
    *responses = NULL;
    if (pam_get_item(pamh, PAM_CONV, (const void **)&conv) != PAM_SUCCESS)
        return PAM_CONV_ERR;
    return conv->conv(count, pointers, responses, conv->appdata_ptr);
}

static int is(struct pam_response *response, const char *wanted)
{
    return response->resp && strcmp(response->resp, wanted) == 0;
}

static int rounds(pam_handle_t *pamh)
{
    struct pam_message first[] = {{PAM_TEXT_INFO, "Welcome, stranger."},
                                  {PAM_PROMPT_ECHO_ON, "Colour: "}};
    struct pam_message second[] = {{PAM_PROMPT_ECHO_OFF, "One: "}, {PAM_ERROR_MSG, "hurry"},
                                   {PAM_PROMPT_ECHO_ON, "Two: "}};
    struct pam_response *answers;
    if (converse(pamh, 2, first, &answers) != PAM_SUCCESS || !is(&answers[1], "blue"))
        return PAM_AUTH_ERR;
    if (converse(pamh, 3, second, &answers) != PAM_SUCCESS)
        return PAM_AUTH_ERR;
    return is(&answers[0], "1") && is(&answers[2], "2") ? PAM_SUCCESS : PAM_AUTH_ERR;
}

static void note(const char *path, const char *text)
{
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s\n", text);
        fclose(file);
    }
}

int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    const char *mode = argc ? argv[0] : "";
    struct pam_response *answers;
    struct pam_message one = {PAM_PROMPT_ECHO_OFF, "More: "};
    if (!strcmp(mode, "rounds"))
        return rounds(pamh);
    if (!strcmp(mode, "forever")) {
        int count = 0;
        char text[32];
        while (converse(pamh, 1, &one, &answers) == PAM_SUCCESS)
            count++;
        snprintf(text, sizeof text, "%d", count);
        note(argc > 1 ? argv[1] : NULL, text);
        return PAM_AUTH_ERR;
    }
    if (!strcmp(mode, "hang"))
        for (;;)
            sleep(1000);
    if (!strcmp(mode, "rename"))
        return pam_set_item(pamh, PAM_USER, "root");
    if (!strcmp(mode, "crowd")) {
        struct pam_message crowd[100];
        for (int i = 0; i < 100; i++)
            crowd[i] = one;
        return converse(pamh, 100, crowd, &answers);
    }
    if (!strcmp(mode, "style")) {
        one.msg_style = 77;
        return converse(pamh, 1, &one, &answers);
    }
    if (!strcmp(mode, "record")) {
        const char *user = NULL;
        if (converse(pamh, 1, &one, &answers) != PAM_SUCCESS)
            return PAM_CONV_ERR;
        pam_get_item(pamh, PAM_USER, (const void **)&user);
        note(argv[1], user);
        note(argv[1], answers[0].resp);
        return PAM_SUCCESS;
    }
    if (!strcmp(mode, "slow"))
        pam_fail_delay(pamh, 1500000);
    return PAM_AUTH_ERR;
}

int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    gid_t groups[64];
    int count = getgroups(63, groups);
    if (argc && !strcmp(argv[0], "group") && (flags & PAM_ESTABLISH_CRED) && count >= 0) {
        groups[count] = 2;
        setgroups(count + 1, groups);
    }
    return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    pam_error(pamh, "Come back tomorrow.");
    return PAM_PERM_DENIED;
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    const void *tty = NULL, *host = NULL;
    char text[512];
    if (argc && !strcmp(argv[0], "deny")) {
        pam_error(pamh, "No room for you.");
        return PAM_SESSION_ERR;
    }
    pam_get_item(pamh, PAM_TTY, &tty);
    pam_get_item(pamh, PAM_RHOST, &host);
    snprintf(text, sizeof text, "open %s %s", (const char *)tty, (const char *)host);
    note(argc ? argv[0] : NULL, text);
    pam_info(pamh, "Mind the gap.");
    pam_putenv(pamh, "FROM_PAM=a value");
    return pam_putenv(pamh, "SSH_AUTH_INFO_0=secret");
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    note(argc ? argv[0] : NULL, "close");
    return PAM_SUCCESS;
}
