/* Not a plugin: openmpi2 is linked with this shared object, which is linked with Open MPI. */
int openmpi_middle(void);

__attribute__((visibility("default"))) int
openmpi_middle(void)
{
    return 0;
}
