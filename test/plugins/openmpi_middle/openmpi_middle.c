/* No plugin: what openmpi2 needs, and what needs Open MPI itself. */
int openmpi_middle(void);

__attribute__((visibility("default"))) int
openmpi_middle(void)
{
    return 0;
}
