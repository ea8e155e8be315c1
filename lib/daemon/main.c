/* The main function of alchemistd: it runs the driver, an agent or a rank. */
#include "base/log.h"
#include "daemon/daemon.h"
#include "worker/worker.h"
#include <alchemist/server.h>
#include <alchemist/types.h>
#include <stdio.h>
#include <string.h>

static int
run_daemon(alchi_dmn_options_t *options, alch_error_t *err)
{
    alchi_log_init(options->agent ? "agent" : "driver",
                   (alchi_log_level_t)alchi_log_level_parse(options->driver.log_level));
    if (options->agent)
        return alchi_dmn_run_agent(options);
    if (alchi_dmn_options_plugin_dirs(options, err) || alchi_dmn_options_data_dirs(options, err)) {
        alchi_log(ALCHI_LOG_ERROR, "%s", err->text);
        return err->code;
    }
    return alchi_dmn_run_driver(options);
}

int
alch_server_main(int argc, char **argv)
{
    alchi_dmn_options_t options;
    alch_error_t error;
    int code;

    if (argc > 1 && strcmp(argv[1], "--rank") == 0)
        return alchi_rank_main();
    if ((code = alchi_dmn_options_read(argc, argv, &options, &error))) {
        fprintf(stderr, "alchemistd: %s\n", error.text);
        return code;
    }
    if (options.help)
        alchi_dmn_options_print_help();
    else if (options.version)
        printf("alchemistd %s\n", alch_version());
    else if (options.print_options_man)
        alchi_dmn_options_print_man();
    else
        code = run_daemon(&options, &error);
    alchi_dmn_options_free(&options);
    return code;
}
