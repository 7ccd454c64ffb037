/* SPDX-License-Identifier: Apache-2.0 */
#include "predictors/repulsion.h"

#include "numerics/stats.h"

#include <math.h>

static const double min_width = 1e-6;

int tl_repulsion_scratch_len(int n_heads)
{
    return 2 * n_heads * n_heads;
}

/* apart [K, K] = |f_i - f_j|^2, the mean over answers. */
static void fill_apart(tl_cmat f, int n_heads, double *apart)
{
    int n_out = f.cols / n_heads;
    for (int i = 0; i < n_heads * n_heads; i++) {
        apart[i] = 0.0;
    }
    for (int r = 0; r < f.rows; r++) {
        const float *row = tl_cmat_row(f, r);
        for (int i = 0; i < n_heads; i++) {
            for (int j = 0; j < i; j++) {
                float sum = 0.0F;
                for (int k = 0; k < n_out; k++) {
                    float d = row[i * n_out + k] - row[j * n_out + k];
                    sum += d * d;
                }
                apart[i * n_heads + j] += (double)sum / (f.rows * n_out);
            }
        }
    }
    for (int i = 0; i < n_heads; i++) {
        for (int j = i + 1; j < n_heads; j++) {
            apart[i * n_heads + j] = apart[j * n_heads + i];
        }
    }
}

static double kernel_width(int n_heads, const double *apart, double *scratch)
{
    int n = 0;
    for (int i = 0; i < n_heads; i++) {
        for (int j = 0; j < i; j++) {
            scratch[n++] = apart[i * n_heads + j];
        }
    }
    double width = tl_median_inplace(n, scratch) / log((double)n_heads);
    return width > min_width ? width : min_width;
}

void tl_repulsion_bwd(tl_cmat f, int n_heads, double weight, double *scratch, tl_mat df)
{
    TL_ASSERT(n_heads > 1 && f.cols % n_heads == 0 && df.rows == f.rows && df.cols == f.cols);
    int n_out = f.cols / n_heads;
    double *apart = scratch;
    double *pull = scratch + n_heads * n_heads;
    fill_apart(f, n_heads, apart);
    double width = kernel_width(n_heads, apart, pull);
    for (int i = 0; i < n_heads; i++) {
        double sum = 0.0;
        for (int j = 0; j < n_heads; j++) {
            pull[i * n_heads + j] = exp(-apart[i * n_heads + j] / width);
            sum += pull[i * n_heads + j];
        }
        double scale = -2.0 * weight / (n_heads * width * f.rows * n_out * sum);
        for (int j = 0; j < n_heads; j++) {
            pull[i * n_heads + j] *= scale;
        }
    }
    float prior = (float)(weight / (n_heads * f.rows * n_out));
    for (int r = 0; r < f.rows; r++) {
        const float *row = tl_cmat_row(f, r);
        float *to = tl_mat_row(df, r);
        for (int c = 0; c < f.cols; c++) {
            to[c] += prior * row[c];
        }
        for (int i = 0; i < n_heads; i++) {
            for (int j = 0; j < n_heads; j++) {
                float p = (float)pull[i * n_heads + j];
                for (int k = 0; k < n_out; k++) {
                    to[i * n_out + k] += p * (row[i * n_out + k] - row[j * n_out + k]);
                }
            }
        }
    }
}
