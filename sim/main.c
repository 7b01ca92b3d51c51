#include "../app/main.h"
#include "../app/config.h"
#include "machine.h"

int main(int argc, char **argv)
{
    config_defaults();
    int status = machine_start(argc, argv);
    if (status != MACHINE_READY)
        return status;
    status = pipit_main();
    machine_stop();
    return status;
}
